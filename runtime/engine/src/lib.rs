//! The worker: runs pipelines.
//!
//! [`executor`] is the operator of one partition: records in, slices out. [`local`] drives it
//! over files; [`worker`](crate::worker) drives it against JetStream through the protocol of
//! `millstream_core::partition`.

mod chain;
pub mod clock;
pub mod crash;
pub mod dead_letter;
mod error;
pub mod executor;
pub mod ingest;
pub mod input;
mod instance;
pub mod local;
pub mod logs;
mod metrics;
pub mod planted;
mod router;
pub mod spec;
pub mod status;
pub mod worker;

pub use error::EngineError;
