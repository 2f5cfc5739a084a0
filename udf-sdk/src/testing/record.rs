//! What is sent to a [`Harness`](super::Harness), and why it may be refused.

use std::fmt;

/// A record as the broker delivers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(super) payload: Vec<u8>,
    pub(super) subject: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) event_time: Option<i64>,
}

impl Record {
    /// A record with these bytes.
    pub fn raw(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// A record with a JSON payload. Panics for what JSON cannot hold.
    pub fn json(payload: impl serde::Serialize) -> Self {
        match serde_json::to_vec(&payload) {
            Ok(payload) => Self::raw(payload),
            Err(error) => panic!("the record cannot be written as JSON: {error}"),
        }
    }

    /// The same with a subject.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..self }
    }

    /// The same with one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with this key, whatever the payload says.
    pub fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same with this event time, in milliseconds, whatever the payload says.
    pub fn event_time(self, ms: i64) -> Self {
        Self { event_time: Some(ms), ..self }
    }
}

impl From<serde_json::Value> for Record {
    fn from(payload: serde_json::Value) -> Self {
        Self::json(payload)
    }
}

/// Why a record becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has not the fields that the UDF declares, or no key or event time: the UDF never sees it.
    Unfit(String),
    /// A handler returned this error.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(why) => write!(f, "record does not fit: {why}"),
            Self::Failed(why) => write!(f, "handler refused the record: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}
