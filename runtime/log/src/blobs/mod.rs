//! Content-addressed storage: modules and the files of checkpoints.
//!
//! A blob is named by the SHA-256 of its bytes, so a put is idempotent and a get is verified.
//! Beside blobs there are *documents*, small and named by their writer: the manifest of a checkpoint
//! is one. What belongs together is put first, its document last; that order is the caller's.
//!
//! | implementation | where |
//! |---|---|
//! | [`JetStreamBlobs`] | a JetStream object store bucket |
//! | [`UrlBlobs`] | any URL that `object_store` was built with, `file://` now |
//! | [`MemoryBlobs`] | the double |

#[cfg(test)]
mod conformance;
mod digest;
mod files;
mod jetstream;
mod memory;
mod name;
mod object;
mod url;

use std::path::Path;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use self::digest::{Digest, DigestError, Hasher};
pub use self::jetstream::JetStreamBlobs;
pub use self::memory::MemoryBlobs;
pub use self::url::UrlBlobs;

/// A stored blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobInfo {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Why storage failed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not there.
    #[error("blob {digest} does not exist in {store}")]
    Missing {
        /// The store.
        store: String,
        /// The blob.
        digest: Digest,
    },
    /// There, but not what its name says: damaged or replaced.
    #[error("blob {digest} in {store} has the content of {found}")]
    Damaged {
        /// The store.
        store: String,
        /// The blob.
        digest: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// There, but pieces of it are missing or damaged.
    #[error("{object} in {store} is not whole: {description}")]
    Incomplete {
        /// The store.
        store: String,
        /// What was asked for.
        object: String,
        /// What is wrong.
        description: String,
    },
    /// A document's name has characters other than `a-z A-Z 0-9 - _ . /`, an empty part, or a part of dots only.
    #[error("{name:?} is not a valid name for a document")]
    Name {
        /// The text.
        name: String,
    },
    /// A file beside the store could not be read or written.
    #[error("file {path}")]
    File {
        /// Its path.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The URL is of no kind this build knows, or is not one.
    #[error("storage URL {url} cannot be used: {description}")]
    Url {
        /// The URL without user and password.
        url: String,
        /// What is wrong.
        description: String,
    },
    /// The store failed.
    #[error("{request} in {store}: {description}")]
    Store {
        /// The store.
        store: String,
        /// What was asked.
        request: &'static str,
        /// What it said.
        description: String,
    },
}

/// A store of blobs and documents.
pub trait Blobs: Send + Sync {
    /// Stores bytes under their digest. Does nothing when they are there.
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>>;

    /// Stores a file's content, piece by piece, under its digest ([`BlobInfo::of_file`]). Does nothing when it is there.
    fn put_file<'a>(
        &'a self,
        path: &'a Path,
        info: &'a BlobInfo,
    ) -> BoxFuture<'a, Result<(), BlobError>>;

    /// The bytes, verified.
    fn get<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Bytes, BlobError>>;

    /// Writes the bytes to a new file, piece by piece, verified. On an error there is no file.
    fn get_file<'a>(
        &'a self,
        digest: &'a Digest,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<BlobInfo, BlobError>>;

    /// Its length in bytes; `None` when it is not there.
    fn size<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, BlobError>>;

    /// All blobs, sorted.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>>;

    /// Removes it; nothing happens when it is not there.
    fn delete<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), BlobError>>;

    /// Stores a document under a name (`a/b.c`), replacing one that is there. All or nothing.
    fn put_document<'a>(
        &'a self,
        name: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), BlobError>>;

    /// The document, `None` when there is none.
    fn get_document<'a>(&'a self, name: &'a str)
    -> BoxFuture<'a, Result<Option<Bytes>, BlobError>>;

    /// Names of the documents that begin with `prefix` (a text), sorted.
    fn list_documents<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, BlobError>>;

    /// Removes it; nothing happens when it is not there.
    fn delete_document<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BlobError>>;
}
