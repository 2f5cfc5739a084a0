//! Pipeline manifests.

mod model;
mod suggest;
mod units;
mod yaml;

pub use model::*;
pub use units::{Duration, InvalidDuration, InvalidTimestamp, Timestamp};
