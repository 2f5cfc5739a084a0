//! Objects of a bucket, read by us: the description from the stream's leader, the pieces in batches of direct gets.
//!
//! The client library's own reader makes a consumer for every object and every listing, of which a server has only so many,
//! and waits for ever for what was removed after it began.

use std::collections::HashMap;

use async_nats::jetstream::object_store::ObjectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use millstream_core::ids::Sequence;
use serde::Deserialize;

use super::Hasher;
use crate::api::{self, ApiError};
use crate::commit_log::LogError;
use crate::connect::{Connection, chain};
use crate::reading::Reading;

/// A bucket, by its names.
#[derive(Clone)]
pub(super) struct Bucket {
    pub connection: Connection,
    /// Its own.
    pub name: String,
    /// That of its stream.
    pub stream: String,
}

/// Why an object was not read.
pub(super) enum Unread {
    /// Pieces are missing, or are not what the description says.
    Incomplete(String),
    /// The stream did not answer.
    Failed(String),
}

impl From<ApiError> for Unread {
    fn from(error: ApiError) -> Self {
        Self::Failed(error.description())
    }
}

impl From<LogError> for Unread {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Incomplete { .. } => Self::Incomplete("pieces of it are gone".to_owned()),
            error => Self::Failed(chain(&error)),
        }
    }
}

/// One page of the subjects of a stream.
#[derive(Deserialize)]
struct SubjectsPage {
    #[serde(default)]
    total: usize,
    state: SubjectsState,
}

#[derive(Deserialize)]
struct SubjectsState {
    #[serde(default)]
    subjects: Option<HashMap<String, u64>>,
}

impl Bucket {
    /// The subject of an object's description.
    pub fn description_subject(&self, object: &str) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(object))
    }

    /// An object's description; `None` when there is no such object.
    pub async fn description(&self, object: &str) -> Result<Option<ObjectInfo>, Unread> {
        let subject = self.description_subject(object);
        let found = api::last_message(&self.connection, &self.stream, &subject).await?;
        let Some(message) = found else { return Ok(None) };
        let info: ObjectInfo = serde_json::from_slice(&message.payload)
            .map_err(|error| Unread::Incomplete(format!("its description: {error}")))?;
        Ok((!info.deleted).then_some(info))
    }

    /// Names of the objects. One whose deletion was cut off may be among them.
    pub async fn names(&self) -> Result<Vec<String>, Unread> {
        let prefix = format!("$O.{}.M.", self.name);
        let call = format!("STREAM.INFO.{}", self.stream);
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let body =
                serde_json::json!({ "subjects_filter": format!("{prefix}>"), "offset": offset });
            let page: SubjectsPage = api::call(&self.connection, &call, &body).await?;
            let subjects = page.state.subjects.unwrap_or_default();
            offset += subjects.len();
            let is_last = subjects.is_empty() || offset >= page.total;
            names.extend(subjects.into_keys().filter_map(|subject| {
                let name = URL_SAFE.decode(subject.strip_prefix(&prefix)?).ok()?;
                String::from_utf8(name).ok()
            }));
            if is_last {
                return Ok(names);
            }
        }
    }

    /// An object to be read; `None` when there is none such.
    pub async fn open(&self, object: &str) -> Result<Option<Object<'_>>, Unread> {
        let Some(info) = self.description(object).await? else { return Ok(None) };
        let subject = format!("$O.{}.C.{}", self.name, info.nuid);
        let any = Sequence(u64::MAX);
        let pieces = Reading::new(&self.connection, &self.stream, subject, Sequence(0), any);
        Ok(Some(Object { bucket: self, info, pieces, taken: 0, hasher: Hasher::default() }))
    }
}

/// An object that is read piece by piece.
pub(super) struct Object<'a> {
    bucket: &'a Bucket,
    info: ObjectInfo,
    pieces: Reading<'a>,
    taken: usize,
    hasher: Hasher,
}

impl Object<'_> {
    /// The next piece; `None` behind the last, if all of them together are what was stored.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        match self.piece().await {
            // Whoever replaces an object removes the pieces of the one before.
            Err(Unread::Incomplete(_)) if self.is_replaced().await? => {
                Err(Unread::Failed("it was replaced while it was read".to_owned()))
            }
            piece => piece,
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Unread> {
        if self.taken < self.info.chunks
            && let Some(piece) = self.pieces.next().await?
        {
            self.taken += 1;
            self.hasher.update(&piece.bytes);
            return Ok(Some(piece.bytes));
        }
        let found = format!("SHA-256={}", URL_SAFE.encode(self.hasher.clone().finish().0));
        match &self.info.digest {
            Some(digest) if *digest != found => {
                Err(Unread::Incomplete("its content is not what was stored".to_owned()))
            }
            _ => Ok(None),
        }
    }

    async fn is_replaced(&self) -> Result<bool, Unread> {
        let now = self.bucket.description(&self.info.name).await?;
        Ok(now.is_none_or(|now| now.nuid != self.info.nuid))
    }
}
