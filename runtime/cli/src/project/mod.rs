//! A project: a folder with a pipeline, and beside its manifest the cargo package of its modules.
//!
//! - `cargo`: builds the modules.
//! - `install`: puts them where the manifest names them.
//! - `changes`: tells when its files change.
//!
//! `build` and `test` use both; `dev --watch` builds with a profile of its own and leaves the manifest's files alone.

mod cargo;
mod changes;
mod install;

pub use cargo::{RELEASE, WATCH, build, is_package};
pub use changes::Changes;
pub use install::install;
