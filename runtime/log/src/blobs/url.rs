//! Blobs behind a URL: `<url>/blobs/<digest>` and `<url>/documents/<name>`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

// Only for its features: `object_store` leaves the choice of TLS to whoever uses it.
use reqwest as _;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Place;
use object_store::{Error, ObjectStore, ObjectStoreExt, ObjectStoreScheme, WriteMultipart};
use tokio::io::AsyncReadExt;

use super::files::{Incoming, PIECE_BYTES, file_error};
use super::name::check_document_name;
use super::{BlobError, BlobInfo, Blobs, Digest, Hasher};
use crate::connect::without_user;

/// Bytes of one part of an upload; S3 takes no smaller ones than 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts that may be under way at once.
const PARTS_MAX: usize = 4;

/// Blobs behind a URL: `file:///folder`, `s3://bucket/folder`, `gs://bucket/folder`, `az://container/folder` and their other
/// forms.
#[derive(Clone)]
pub struct UrlBlobs {
    store: Arc<dyn ObjectStore>,
    root: Place,
    /// The URL without user and password.
    shown: String,
}

fn parse(url: &str) -> Result<url::Url, BlobError> {
    url::Url::parse(url).map_err(|error| unusable(url, &error))
}

/// Refuses a URL. The libraries quote it in their errors.
fn unusable(url: &str, error: &dyn fmt::Display) -> BlobError {
    let shown = without_user(url);
    BlobError::Url { description: error.to_string().replace(url, &shown), url: shown }
}

impl UrlBlobs {
    /// Opens a store. A folder of a `file://` URL is made with the first blob. Credentials of clouds, and whatever else their
    /// own tools take from there (`AWS_REGION`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, ...), come from the environment.
    pub fn open(url: &str) -> Result<UrlBlobs, BlobError> {
        let parsed = parse(url)?;
        // Only the first call has an effect.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        // What is no text cannot be meant.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let (store, root) = object_store::parse_url_opts(&parsed, environment)
            .map_err(|error| unusable(url, &error))?;
        Ok(UrlBlobs { store: store.into(), root, shown: without_user(url) })
    }

    /// Whether a URL is of a kind that [`Self::open`] knows. It asks neither the environment nor the store: they are where the
    /// store is used.
    pub fn check(url: &str) -> Result<(), BlobError> {
        let (kind, _) =
            ObjectStoreScheme::parse(&parse(url)?).map_err(|error| unusable(url, &error))?;
        match kind {
            ObjectStoreScheme::Local
            | ObjectStoreScheme::AmazonS3
            | ObjectStoreScheme::GoogleCloudStorage
            | ObjectStoreScheme::MicrosoftAzure => Ok(()),
            _ => Err(unusable(url, &"it is none of file://, s3://, gs:// and az://")),
        }
    }

    fn blob(&self, digest: &Digest) -> Place {
        self.root.clone().join("blobs").join(digest.to_string())
    }

    fn document(&self, name: &str) -> Result<Place, BlobError> {
        check_document_name(name)?;
        Ok(name
            .split('/')
            .fold(self.root.clone().join("documents"), |place, part| place.join(part)))
    }

    fn error(&self, request: &'static str) -> impl Fn(Error) -> BlobError + '_ {
        move |error| BlobError::Store {
            store: self.shown.clone(),
            request,
            description: error.to_string(),
        }
    }

    /// Maps the absence of a blob.
    fn missing<'a>(&'a self, digest: &'a Digest) -> impl Fn(Error) -> BlobError + 'a {
        move |error| match error {
            Error::NotFound { .. } => {
                BlobError::Missing { store: self.shown.clone(), digest: *digest }
            }
            error => self.error("get a blob")(error),
        }
    }

    async fn remove(&self, place: &Place) -> Result<(), BlobError> {
        match self.store.delete(place).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("delete")(error)),
        }
    }

    async fn upload(&self, path: &Path, info: &BlobInfo) -> Result<(), BlobError> {
        let place = self.blob(&info.digest);
        let failed = self.error("put a blob");
        let upload = self.store.put_multipart(&place).await.map_err(&failed)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut file = tokio::fs::File::open(path).await.map_err(file_error(path))?;
        let (mut hasher, mut piece) = (Hasher::default(), vec![0; PIECE_BYTES]);
        loop {
            let read = file.read(&mut piece).await.map_err(file_error(path))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            writer.wait_for_capacity(PARTS_MAX).await.map_err(&failed)?;
            writer.write(&piece[..read]);
        }
        // A file that changes while it is read must not get the name of its old content.
        let found = hasher.finish();
        if found != info.digest {
            writer.abort().await.map_err(&failed)?;
            return Err(BlobError::Damaged {
                store: path.display().to_string(),
                digest: info.digest,
                found,
            });
        }
        writer.finish().await.map(|_| ()).map_err(&failed)
    }
}

impl Blobs for UrlBlobs {
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>> {
        Box::pin(async move {
            let digest = Digest::of(&bytes);
            self.store
                .put(&self.blob(&digest), bytes.into())
                .await
                .map_err(self.error("put a blob"))?;
            Ok(digest)
        })
    }

    fn put_file<'a>(
        &'a self,
        path: &'a Path,
        info: &'a BlobInfo,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            match self.size(&info.digest).await? {
                Some(_) => Ok(()),
                None => self.upload(path, info).await,
            }
        })
    }

    fn get<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        Box::pin(async move {
            let found = self.store.get(&self.blob(digest)).await.map_err(self.missing(digest))?;
            let bytes = found.bytes().await.map_err(self.missing(digest))?;
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
            let found = self.store.get(&self.blob(digest)).await.map_err(self.missing(digest))?;
            let mut incoming = Incoming::create(path).await?;
            let mut pieces = found.into_stream();
            while let Some(piece) = pieces.try_next().await.map_err(self.error("get a blob"))? {
                incoming.write(&piece).await?;
            }
            incoming.finish(&self.shown, digest).await
        })
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, BlobError>> {
        Box::pin(async move {
            match self.store.head(&self.blob(digest)).await {
                Ok(found) => Ok(Some(found.size)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.error("look for a blob")(error)),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>> {
        Box::pin(async move {
            let folder = self.root.clone().join("blobs");
            // What is not named like a blob was put there by somebody else.
            let blobs = self.store.list(Some(&folder)).try_filter_map(async |object| {
                Ok(object.location.filename().and_then(|name| name.parse::<Digest>().ok()))
            });
            let mut blobs: Vec<Digest> =
                blobs.try_collect().await.map_err(self.error("list blobs"))?;
            blobs.sort();
            Ok(blobs)
        })
    }

    fn delete<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move { self.remove(&self.blob(digest)).await })
    }

    fn put_document<'a>(
        &'a self,
        name: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            let put = self.store.put(&self.document(name)?, bytes.into()).await;
            put.map(|_| ()).map_err(self.error("put a document"))
        })
    }

    fn get_document<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, BlobError>> {
        Box::pin(async move {
            match self.store.get(&self.document(name)?).await {
                Ok(found) => found.bytes().await.map(Some).map_err(self.error("get a document")),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.error("get a document")(error)),
            }
        })
    }

    fn list_documents<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, BlobError>> {
        Box::pin(async move {
            let folder = self.root.clone().join("documents");
            let (mut names, mut objects) = (Vec::new(), self.store.list(Some(&folder)));
            while let Some(object) = objects.next().await {
                let object = object.map_err(self.error("list documents"))?;
                let Some(parts) = object.location.prefix_match(&folder) else { continue };
                let name = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
                if name.starts_with(prefix) {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        })
    }

    fn delete_document<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move { self.remove(&self.document(name)?).await })
    }
}
