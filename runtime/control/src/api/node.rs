//! `info`: who answers.

use serde::{Deserialize, Serialize};

use super::operations;

/// Asks the node that owns the account's pipelines about itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Info {}

/// A node about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Name of the node.
    pub node: String,
    /// Random number of this start of the node, hexadecimal.
    pub incarnation: String,
    /// Version of the runtime.
    pub version: String,
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// Version of the NATS server it is connected to.
    pub server_version: String,
    /// Largest module accepted, bytes.
    pub module_size_max: u64,
    /// Pipelines on record.
    pub pipelines: usize,
    /// Modules on record.
    pub modules: usize,
}

operations! {
    Info => "info" => NodeInfo,
}
