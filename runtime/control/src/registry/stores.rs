//! The buckets and the object store, opened on a connection.

use std::sync::Arc;

use millstream_log::Name;
use millstream_log::blobs::{Blobs, JetStreamBlobs};
use millstream_log::connect::{Accounts, Connection};
use millstream_log::kv::{BucketOptions, JetStreamKv, Kv};

use super::{
    ASSIGNMENTS_BUCKET, LEASES_BUCKET, MODULES_BUCKET, PIPELINES_BUCKET, UPLOADS_BUCKET,
    blob_storage, storage,
};
use crate::access::store::{ACCESS_BUCKET, AccessStore};
use crate::errors;
use crate::problem::Problem;

/// What the control plane stores in.
#[derive(Clone)]
pub struct Stores {
    /// Bucket of module records.
    pub modules: Arc<dyn Kv>,
    /// Object store of modules' bytes.
    pub module_bytes: Arc<dyn Blobs>,
    /// Object store where users put modules that are to be registered.
    pub uploads: Arc<dyn Blobs>,
    /// Bucket of pipeline records.
    pub pipelines: Arc<dyn Kv>,
    /// Bucket of leases.
    pub leases: Arc<dyn Kv>,
    /// Bucket of assignments.
    pub assignments: Arc<dyn Kv>,
    /// Bucket of what is granted.
    pub access: AccessStore,
}

impl Stores {
    /// Opens all; makes those that are missing with so many replicas.
    ///
    /// # Errors
    /// MS1406.
    pub async fn open(accounts: &Accounts, replicas: usize) -> Result<Stores, Problem> {
        let connection = &accounts.engine;
        Ok(Stores {
            modules: bucket(connection, MODULES_BUCKET, replicas).await?,
            module_bytes: objects(connection, MODULES_BUCKET, replicas).await?,
            uploads: Self::uploads(&accounts.tenant, replicas).await?,
            pipelines: bucket(connection, PIPELINES_BUCKET, replicas).await?,
            leases: bucket(connection, LEASES_BUCKET, replicas).await?,
            assignments: bucket(connection, ASSIGNMENTS_BUCKET, replicas).await?,
            access: AccessStore::new(bucket(connection, ACCESS_BUCKET, replicas).await?),
        })
    }

    /// The object store of uploads alone, as clients need it; made with so many replicas if it is missing.
    ///
    /// # Errors
    /// MS1406.
    pub async fn uploads(
        connection: &Connection,
        replicas: usize,
    ) -> Result<Arc<dyn Blobs>, Problem> {
        objects(connection, UPLOADS_BUCKET, replicas).await
    }
}

async fn objects(
    connection: &Connection,
    name: &str,
    replicas: usize,
) -> Result<Arc<dyn Blobs>, Problem> {
    let store = JetStreamBlobs::open(connection, &valid(name)?, replicas)
        .await
        .map_err(|error| blob_storage(&error))?;
    Ok(Arc::new(store))
}

async fn bucket(
    connection: &Connection,
    name: &str,
    replicas: usize,
) -> Result<Arc<dyn Kv>, Problem> {
    let options = BucketOptions { replicas, ..BucketOptions::default() };
    let bucket = JetStreamKv::open(connection, &valid(name)?, &options)
        .await
        .map_err(|error| storage(&error))?;
    Ok(Arc::new(bucket))
}

fn valid(name: &str) -> Result<Name, Problem> {
    Name::new(name).map_err(|error| Problem::new(errors::STORAGE, error.to_string()))
}
