//! Pipeline manifests: from YAML to what the engine runs.
//!
//! | step | module | learns of |
//! |---|---|---|
//! | YAML with places | `yaml` | syntax |
//! | types | `decode`, `parse`, `text`, `units` | fields, values |
//! | the document as a whole | [`Document`] | names of sources and sinks |
//! | against the modules | [`wire`], [`resolve`] | inputs, outputs, configuration |
//! | against what runs | [`diff`], [`check_evolution`] | positions, state, timers |
//!
//! Each step reports all mistakes that it can see, at their places; the next one starts only
//! when there are none.
//!
//! Architecture invariant: nothing here reads a clock, a file other than the manifest, or NATS.

mod decode;
mod difference;
mod document;
mod evolution;
mod model;
mod parse;
mod partitions;
mod resolve;
mod suggest;
#[cfg(test)]
mod tests;
mod text;
mod units;
mod wiring;
mod yaml;

pub use difference::diff;
pub use document::Document;
pub use evolution::{Version, check as check_evolution};
pub use millstream_core::evolution::{domain_name, kind_name};
pub use model::*;
pub use partitions::with_partitions;
pub use resolve::resolve;
pub use suggest::help as suggest;
pub use text::{check_digest, check_name, parse_module};
pub use units::{Duration, InvalidDuration, InvalidTimestamp, Timestamp};
pub use wiring::{Feed, Wiring, wire};
