//! What the machine must have, and how it is found or fetched.
//!
//! - `rust`: components and targets of the toolchain.
//! - `native`: the C++ compiler and libclang that RocksDB is built with.
//! - `nats`: a nats-server of the right version.
//! - `debian`: takes one program out of a package of another Debian release, touching nothing of the system.
//! - `mdbook`: what builds the book.
//! - `python`: a virtual environment for the guest in Python; what does without is left out and said.
//! - `runner`: cargo-nextest where it is installed, `cargo test` where it is not.
//!
//! Everything is looked for first; a machine that has it all is only read.

mod debian;
pub mod mdbook;
pub mod native;
pub mod nats;
pub mod python;
pub mod runner;
pub mod rust;

use anyhow::Result;

/// What compiling needs: the toolchain's parts and the native libraries.
pub fn ensure_build_tools() -> Result<()> {
    rust::ensure()?;
    native::ensure()
}
