//! Test cases of a project: `tests/NAME` beside the manifest, with input and expected output.
//!
//! - `case`: the files of a case, and its run.
//! - `comparison`: expected lines against those that came.
//! - `fields`: which fields of two JSON lines differ.
//! - `show`: a comparison as text.
//!
//! A run is that of `run --local` with one partition and one thread, so its order is always the same.

mod case;
mod comparison;
mod fields;
mod show;

pub use case::{Case, find};
pub use comparison::{Comparison, Difference};
pub use show::show;
