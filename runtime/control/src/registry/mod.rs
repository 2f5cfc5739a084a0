//! What is recorded in JetStream: modules and pipelines.
//!
//! | bucket | key | value | lifetime |
//! |---|---|---|---|
//! | `millstream-modules` | `digest.<sha256>` | [`ModuleRecord`] | until `module rm` |
//! | `millstream-modules` | `name.<name>.<version>` | the digest, as text | until `module rm`; never changed |
//! | `millstream-pipelines` | `<pipeline>` | [`PipelineRecord`] | until the deletion is complete |
//! | `millstream-leases` | `owner` | [`crate::lease::Holder`]: the coordinator | until another node takes it |
//! | `millstream-leases` | `node.<identity>` | [`crate::cluster::membership::Member`] | until the node leaves; one that died stays |
//! | `millstream-leases` | `drain.<identity>` | nothing | until `node resume` |
//! | `millstream-assignments` | `<pipeline>` | [`crate::cluster::assignments::Assignment`] | until the pipeline is deleted |
//! | `millstream-access` | | see [`crate::access::store`] | |
//!
//! The bytes of a module are a blob of the object store `millstream-modules`, named by their SHA-256. Users put them into
//! `millstream-uploads`, in their own account; registering moves them.
//! All values are JSON. Readers ignore fields they do not know. Every change compares and swaps.

mod describe;
mod modules;
mod pipelines;
mod stores;

pub use describe::describe;
pub use modules::{ModuleRecord, Modules, Reference, check_module_size};
pub use pipelines::{PipelineRecord, Pipelines, Recorded, RetiredLife};
pub use stores::Stores;

use millstream_log::blobs::BlobError;
use millstream_log::kv::KvError;

use crate::errors;
use crate::problem::Problem;

/// Bucket of module records.
pub const MODULES_BUCKET: &str = "millstream-modules";
/// Object store of modules that users want registered.
pub const UPLOADS_BUCKET: &str = "millstream-uploads";
/// Bucket of pipeline records.
pub const PIPELINES_BUCKET: &str = "millstream-pipelines";
/// Bucket of leases.
pub const LEASES_BUCKET: &str = "millstream-leases";
/// Bucket of assignments.
pub const ASSIGNMENTS_BUCKET: &str = "millstream-assignments";

pub(crate) fn storage(error: &KvError) -> Problem {
    Problem::new(errors::STORAGE, error.to_string()).help("`millstream doctor` checks JetStream")
}

fn blob_storage(error: &BlobError) -> Problem {
    Problem::new(errors::STORAGE, error.to_string()).help("`millstream doctor` checks JetStream")
}

pub(crate) fn damaged(bucket: &str, key: &str, error: &serde_json::Error) -> Problem {
    Problem::new(
        errors::DAMAGED_RECORD,
        format!("the entry {key} of bucket {bucket} cannot be read: {error}"),
    )
    .help(format!("look at it with `nats kv get {bucket} {key}`"))
}
