//! The buckets and the object store, opened on a connection.

use std::sync::Arc;

use millstream_log::blobs::Blobs;
use millstream_log::connect::Connection;
use millstream_log::kv::Kv;

use crate::problem::Problem;

/// What the control plane stores in.
#[derive(Clone)]
pub struct Stores {
    /// Bucket of module records.
    pub modules: Arc<dyn Kv>,
    /// Object store of modules' bytes.
    pub module_bytes: Arc<dyn Blobs>,
    /// Bucket of pipeline records.
    pub pipelines: Arc<dyn Kv>,
    /// Bucket of leases.
    pub leases: Arc<dyn Kv>,
}

impl Stores {
    /// Opens all; makes those that are missing with so many replicas.
    pub async fn open(_connection: &Connection, _replicas: usize) -> Result<Stores, Problem> {
        unimplemented!()
    }

    /// The object store of modules' bytes alone, as clients need it.
    pub async fn module_bytes(_connection: &Connection) -> Result<Arc<dyn Blobs>, Problem> {
        unimplemented!()
    }
}
