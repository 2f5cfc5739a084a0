//! The hostile and broken modules that Millstream is tested with: one list, which says of each what it does and how it
//! must end.
//!
//! - [`Command`]: what the guest `misbehave` does when a record's field `do` says so.
//! - [`Shape`]: what the guest `shaped` is. The name of the shape is written into its file, because what goes wrong in
//!   `describe`, at the start or in the frames of a call is decided before there is a record.
//! - [`Assembled`]: modules made here, byte by byte: what no compiler would give.
//! - [`Bomb`]: modules made here that are costly to compile.
//! - [`Built`]: guests with a crate of their own in `tests/guests`.
//!
//! Three things keep the list whole. The guests match on it, so that an entry nobody implements does not compile. An entry
//! without its end does not compile. And tests are made of the list by `for_each_command!` and its like, so that there is
//! none without a test.

#[cfg(not(target_family = "wasm"))]
mod assemble;
mod assembled;
mod bomb;
mod built;
mod command;
mod ends;
mod guest;
mod modes;
mod shape;
#[cfg(not(target_family = "wasm"))]
mod table;

pub use assembled::Assembled;
pub use bomb::Bomb;
pub use built::Built;
pub use command::Command;
pub use ends::{Ends, Refusal};
pub use guest::Guest;
pub use shape::{MARKER, Shape};
#[cfg(not(target_family = "wasm"))]
pub use table::table;
