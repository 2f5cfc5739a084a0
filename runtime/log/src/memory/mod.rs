//! The double of JetStream that simulations and unit tests run on.
//!
//! A [`MemoryBroker`] holds streams the way the real server does: one sequence per stream, last sequence
//! per subject, limits, message ids within a window, purges. Time is what the
//! owner sets, nothing runs in the background, and equal calls give equal results. Every operation exists as
//! a plain function, which a single-threaded simulation calls; [`MemoryLog`], [`MemorySource`] and
//! [`MemorySink`] put them behind the traits of the real implementations and pass the same conformance suite.

mod broker;
mod log;
mod sink;
mod source;
mod stream;
mod subject;
mod transactional;

pub use broker::{MemoryBroker, Message, Published, Rejection, Stored};
pub use log::{AppendFault, MemoryLog};
pub use sink::{MemorySink, MemorySinkReader};
pub use source::MemorySource;
pub use stream::StreamOptions;
pub use transactional::{BatchFault, MemoryTransactionalSink};
