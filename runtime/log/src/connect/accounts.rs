//! The two NATS accounts that pipelines touch.

use super::Connection;

/// A connection to each of the two accounts of a tenant. Cheap to clone.
///
/// Denying subjects to users does not protect a log that lies in their account: a stream that sources or republishes reaches
/// it. So what the engine keeps lies in an account that nobody else enters.
#[derive(Clone)]
pub struct Accounts {
    /// Logs, checkpoints, dead letters, desired state: what only the engine reads and writes.
    pub engine: Connection,
    /// Sources, sinks, and the control API: where the tenant's users are.
    pub tenant: Connection,
}

impl From<Connection> for Accounts {
    /// One account for both.
    fn from(connection: Connection) -> Self {
        Accounts { engine: connection.clone(), tenant: connection }
    }
}
