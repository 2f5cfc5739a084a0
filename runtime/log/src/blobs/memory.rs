//! Blobs in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::files::{Incoming, file_error};
use super::name::check_document_name;
use super::{BlobError, BlobInfo, Blobs, Digest};

/// Blobs in memory. Clones are handles of the same ones.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<Digest, Bytes>,
    documents: BTreeMap<String, Bytes>,
}

impl MemoryBlobs {
    /// An empty store.
    pub fn new() -> MemoryBlobs {
        MemoryBlobs::default()
    }
}

impl Blobs for MemoryBlobs {
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>> {
        Box::pin(async move {
            let digest = Digest::of(&bytes);
            self.state.lock().blobs.insert(digest, bytes);
            Ok(digest)
        })
    }

    fn put_file<'a>(
        &'a self,
        path: &'a Path,
        info: &'a BlobInfo,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            let content = tokio::fs::read(path).await.map_err(file_error(path))?;
            self.state.lock().blobs.insert(info.digest, content.into());
            Ok(())
        })
    }

    fn get<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        Box::pin(async move {
            let bytes = self.state.lock().blobs.get(digest).cloned();
            bytes.ok_or_else(|| BlobError::Missing { store: "memory".to_owned(), digest: *digest })
        })
    }

    fn get_file<'a>(
        &'a self,
        digest: &'a Digest,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let bytes = self.get(digest).await?;
            let mut incoming = Incoming::create(path).await?;
            incoming.write(&bytes).await?;
            incoming.finish("memory", digest).await
        })
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, BlobError>> {
        Box::pin(
            async move { Ok(self.state.lock().blobs.get(digest).map(|bytes| bytes.len() as u64)) },
        )
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>> {
        Box::pin(async move { Ok(self.state.lock().blobs.keys().copied().collect()) })
    }

    fn delete<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            self.state.lock().blobs.remove(digest);
            Ok(())
        })
    }

    fn put_document<'a>(
        &'a self,
        name: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            check_document_name(name)?;
            self.state.lock().documents.insert(name.to_owned(), bytes);
            Ok(())
        })
    }

    fn get_document<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, BlobError>> {
        Box::pin(async move {
            check_document_name(name)?;
            Ok(self.state.lock().documents.get(name).cloned())
        })
    }

    fn list_documents<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, BlobError>> {
        Box::pin(async move {
            let state = self.state.lock();
            Ok(state.documents.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
        })
    }

    fn delete_document<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            check_document_name(name)?;
            self.state.lock().documents.remove(name);
            Ok(())
        })
    }
}
