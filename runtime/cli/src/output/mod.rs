//! What commands print. Data goes to stdout in the format that `-o` names; talk and bars go to stderr.
//!
//! - `format`: the `-o` values and the printer.
//! - `table`: how a list looks on a terminal.
//! - `style`: colours, and when there are none.
//! - `units`: bytes, counts and durations for people.
//! - `progress`: bars for long work.

pub mod format;
pub mod progress;
pub mod style;
pub mod table;
pub mod units;

pub use format::{Format, Output};
pub use table::{Cell, Listed, Tone};
