//! Blobs in a JetStream object store bucket: objects `blobs/<digest>` and `documents/<name>`. The `nats object` commands
//! see them.

use std::path::Path;

use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectMetadata, ObjectStore,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::files::{Incoming, PIECE_BYTES, file_error, info_of_file};
use super::name::check_document_name;
use super::{BlobError, BlobInfo, Blobs, Digest};
use crate::Name;
use crate::api::{self, ApiError, MessageRequest, code};
use crate::connect::{Connection, chain};

const BLOBS: &str = "blobs/";
const DOCUMENTS: &str = "documents/";

/// Blobs in JetStream.
#[derive(Clone)]
pub struct JetStreamBlobs {
    connection: Connection,
    bucket: String,
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
        let (connection, bucket) = (connection.clone(), bucket.to_string());
        Ok(JetStreamBlobs { connection, bucket, store, shown, piece_bytes })
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

    /// The object's content, `None` when there is no such object.
    async fn read(
        &self,
        name: String,
    ) -> Result<Option<impl AsyncRead + Unpin + use<>>, BlobError> {
        match self.store.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind() == GetErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error("get", &error)),
        }
    }

    async fn read_all(&self, name: String) -> Result<Option<Bytes>, BlobError> {
        let Some(mut object) = self.read(name).await? else { return Ok(None) };
        let mut content = Vec::new();
        object.read_to_end(&mut content).await.map_err(|error| self.error("get", &error))?;
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
        let subject = format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name));
        let request =
            MessageRequest { last_by_subject: Some(&subject), ..MessageRequest::default() };
        let stream = format!("OBJ_{}", self.bucket);
        let found =
            api::leader_message(&self.connection, &stream, &request).await.map_err(failed)?;
        let Some(message) = found else { return Ok(()) };
        if !serde_json::from_slice(&message.payload).is_ok_and(|object: Described| object.deleted) {
            return Ok(());
        }
        let call = format!("STREAM.MSG.DELETE.{stream}");
        let delete = serde_json::json!({ "seq": message.sequence, "no_erase": true });
        match api::call::<serde_json::Value>(&self.connection, &call, &delete).await {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(ApiError::Server {
                code: code::NO_MESSAGE_FOUND | code::SEQUENCE_NOT_FOUND,
                ..
            }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Names behind a prefix, and sizes.
    async fn objects(&self, prefix: &str) -> Result<Vec<(String, u64)>, BlobError> {
        let objects = self.store.list().await.map_err(|error| self.error("list", &error))?;
        let found = objects.try_filter_map(async |object| {
            Ok(object.name.strip_prefix(prefix).map(|name| (name.to_owned(), object.size as u64)))
        });
        found.try_collect().await.map_err(|error| self.error("list", &error))
    }

    fn missing(&self, digest: &Digest) -> BlobError {
        BlobError::Missing { store: self.shown.clone(), digest: *digest }
    }
}

/// What the description of an object says that matters here.
#[derive(serde::Deserialize)]
struct Described {
    #[serde(default)]
    deleted: bool,
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
            if !self.exists(&digest).await? {
                self.write(blob(&digest), &mut &bytes[..]).await?;
            }
            Ok(digest)
        })
    }

    fn put_file<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let info = info_of_file(path).await?;
            if !self.exists(&info.digest).await? {
                let mut file = tokio::fs::File::open(path).await.map_err(file_error(path))?;
                self.write(blob(&info.digest), &mut file).await?;
            }
            Ok(info)
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
            let mut object = self.read(blob(digest)).await?.ok_or_else(|| self.missing(digest))?;
            let mut incoming = Incoming::create(path).await?;
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read =
                    object.read(&mut piece).await.map_err(|error| self.error("get", &error))?;
                if read == 0 {
                    return incoming.finish(&self.shown, digest).await;
                }
                incoming.write(&piece[..read]).await?;
            }
        })
    }

    fn exists<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move {
            match self.store.info(blob(digest)).await {
                Ok(info) => Ok(!info.deleted),
                Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
                Err(error) => Err(self.error("look for a blob", &error)),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(async move {
            let objects = self.objects(BLOBS).await?;
            let blobs = objects
                .into_iter()
                .filter_map(|(name, bytes)| Some(BlobInfo { digest: name.parse().ok()?, bytes }));
            let mut blobs: Vec<BlobInfo> = blobs.collect();
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
            let objects = self.objects(DOCUMENTS).await?;
            let mut names: Vec<String> = objects.into_iter().map(|(name, _)| name).collect();
            names.retain(|name| name.starts_with(prefix));
            names.sort();
            Ok(names)
        })
    }

    fn delete_document<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move { self.remove(document(name)?).await })
    }
}
