//! Blobs in a JetStream object store bucket: objects `blobs/<digest>` and `documents/<name>`. The `nats object` commands
//! see them.

use std::path::Path;

use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, ObjectInfo, ObjectMetadata, ObjectStore,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::AsyncRead;

use super::files::{Incoming, PIECE_BYTES, file_error};
use super::name::check_document_name;
use super::object::{Bucket, Unread};
use super::{BlobError, BlobInfo, Blobs, Digest};
use crate::Name;
use crate::api::{self, ApiError, code};
use crate::connect::{Connection, chain};

const BLOBS: &str = "blobs/";
const DOCUMENTS: &str = "documents/";

/// Blobs in JetStream.
#[derive(Clone)]
pub struct JetStreamBlobs {
    bucket: Bucket,
    store: ObjectStore,
    shown: String,
    piece_bytes: usize,
}

impl JetStreamBlobs {
    /// Opens a bucket, and makes it with so many copies if there is none.
    pub async fn open(
        connection: &Connection,
        bucket: &Name,
        replicas: usize,
    ) -> Result<JetStreamBlobs, BlobError> {
        let shown = format!("object store {bucket}");
        let config =
            Config { bucket: bucket.to_string(), num_replicas: replicas, ..Config::default() };
        let store = match connection.jetstream().get_object_store(bucket.as_str()).await {
            Ok(store) => store,
            Err(_) => {
                let failed = |description| BlobError::Store {
                    store: shown.clone(),
                    request: "open",
                    description,
                };
                let created = connection.jetstream().create_object_store(config).await;
                let store = created.map_err(|error| failed(chain(&error)))?;
                let settled = async {
                    let info = api::stream_info(connection, &format!("OBJ_{bucket}")).await?;
                    api::settle_stream(connection, &info.config).await
                };
                settled.await.map_err(|error| failed(error.description()))?;
                store
            }
        };
        // A piece is one message.
        let piece_bytes = PIECE_BYTES.min(connection.payload_bytes_max() / 2);
        let bucket = Bucket {
            connection: connection.clone(),
            name: bucket.to_string(),
            stream: format!("OBJ_{bucket}"),
        };
        Ok(JetStreamBlobs { bucket, store, shown, piece_bytes })
    }

    fn error(&self, request: &'static str, error: &dyn std::error::Error) -> BlobError {
        BlobError::Store { store: self.shown.clone(), request, description: chain(error) }
    }

    async fn write(
        &self,
        name: String,
        content: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), BlobError> {
        let object = ObjectMetadata {
            name,
            chunk_size: Some(self.piece_bytes),
            ..ObjectMetadata::default()
        };
        let put = self.store.put(object, content).await;
        put.map(|_| ()).map_err(|error| self.error("put", &error))
    }

    fn unread(&self, object: &str) -> impl Fn(Unread) -> BlobError {
        let (store, object) = (self.shown.clone(), object.to_owned());
        move |error| match error {
            Unread::Incomplete(description) => {
                BlobError::Incomplete { store: store.clone(), object: object.clone(), description }
            }
            Unread::Failed(description) => {
                BlobError::Store { store: store.clone(), request: "get", description }
            }
        }
    }

    async fn read_all(&self, name: String) -> Result<Option<Bytes>, BlobError> {
        let unread = self.unread(&name);
        let Some(mut object) = self.bucket.open(&name).await.map_err(&unread)? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        while let Some(piece) = object.next().await.map_err(&unread)? {
            content.extend_from_slice(&piece);
        }
        Ok(Some(content.into()))
    }

    async fn remove(&self, name: String) -> Result<(), BlobError> {
        match self.store.delete(&name).await {
            Ok(()) => {}
            Err(error) if error.kind() == DeleteErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.error("delete", &error)),
        }
        self.remove_trace(&name).await
    }

    /// Removes the message that says that an object was deleted. Nobody reads it, and every listing would go through it. What
    /// was put under the name meanwhile stays.
    async fn remove_trace(&self, name: &str) -> Result<(), BlobError> {
        let failed = |error: ApiError| BlobError::Store {
            store: self.shown.clone(),
            request: "delete",
            description: error.description(),
        };
        let Bucket { connection, stream, .. } = &self.bucket;
        let subject = self.bucket.description_subject(name);
        let found = api::last_message(connection, stream, &subject).await.map_err(failed)?;
        let Some(message) = found else { return Ok(()) };
        if !serde_json::from_slice(&message.payload).is_ok_and(|object: ObjectInfo| object.deleted)
        {
            return Ok(());
        }
        let call = format!("STREAM.MSG.DELETE.{stream}");
        let delete = serde_json::json!({ "seq": message.sequence, "no_erase": true });
        match api::call::<serde_json::Value>(connection, &call, &delete).await {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(ApiError::Server {
                code: code::NO_MESSAGE_FOUND | code::SEQUENCE_NOT_FOUND,
                ..
            }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Names behind a prefix.
    async fn names(&self, prefix: &str) -> Result<Vec<String>, BlobError> {
        let names = self.bucket.names().await.map_err(self.unread("a listing"))?;
        let behind = |name: &String| name.strip_prefix(prefix).map(str::to_owned);
        Ok(names.iter().filter_map(behind).collect())
    }

    fn missing(&self, digest: &Digest) -> BlobError {
        BlobError::Missing { store: self.shown.clone(), digest: *digest }
    }
}

fn blob(digest: &Digest) -> String {
    format!("{BLOBS}{digest}")
}

fn document(name: &str) -> Result<String, BlobError> {
    check_document_name(name)?;
    Ok(format!("{DOCUMENTS}{name}"))
}

impl Blobs for JetStreamBlobs {
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>> {
        Box::pin(async move {
            let digest = Digest::of(&bytes);
            if self.size(&digest).await?.is_none() {
                self.write(blob(&digest), &mut &bytes[..]).await?;
            }
            Ok(digest)
        })
    }

    fn put_file<'a>(
        &'a self,
        path: &'a Path,
        info: &'a BlobInfo,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            if self.size(&info.digest).await?.is_none() {
                let mut file = tokio::fs::File::open(path).await.map_err(file_error(path))?;
                self.write(blob(&info.digest), &mut file).await?;
            }
            Ok(())
        })
    }

    fn get<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        Box::pin(async move {
            let bytes = self.read_all(blob(digest)).await?.ok_or_else(|| self.missing(digest))?;
            match Digest::of(&bytes) {
                found if found == *digest => Ok(bytes),
                found => {
                    Err(BlobError::Damaged { store: self.shown.clone(), digest: *digest, found })
                }
            }
        })
    }

    fn get_file<'a>(
        &'a self,
        digest: &'a Digest,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let name = blob(digest);
            let unread = self.unread(&name);
            let object = self.bucket.open(&name).await.map_err(&unread)?;
            let mut object = object.ok_or_else(|| self.missing(digest))?;
            let mut incoming = Incoming::create(path).await?;
            while let Some(piece) = object.next().await.map_err(&unread)? {
                incoming.write(&piece).await?;
            }
            incoming.finish(&self.shown, digest).await
        })
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, BlobError>> {
        Box::pin(async move {
            let name = blob(digest);
            let found = self.bucket.description(&name).await.map_err(self.unread(&name))?;
            Ok(found.map(|object| object.size as u64))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>> {
        Box::pin(async move {
            let names = self.names(BLOBS).await?;
            let mut blobs: Vec<Digest> =
                names.iter().filter_map(|name| name.parse().ok()).collect();
            blobs.sort();
            Ok(blobs)
        })
    }

    fn delete<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(self.remove(blob(digest)))
    }

    fn put_document<'a>(
        &'a self,
        name: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move { self.write(document(name)?, &mut &bytes[..]).await })
    }

    fn get_document<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, BlobError>> {
        Box::pin(async move { self.read_all(document(name)?).await })
    }

    fn list_documents<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, BlobError>> {
        Box::pin(async move {
            let mut names = self.names(DOCUMENTS).await?;
            names.retain(|name| name.starts_with(prefix));
            names.sort();
            Ok(names)
        })
    }

    fn delete_document<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move { self.remove(document(name)?).await })
    }
}
