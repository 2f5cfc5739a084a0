//! What lies beyond the network: the log, the source, the sinks.

pub mod log;
pub mod sink;
pub mod source;
