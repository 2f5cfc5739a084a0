//! `state.*`: keyed state, read from the running partition.

use serde::{Deserialize, Serialize};

use super::{Data, about_pipeline, operations};

/// All states and timers of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Get {
    /// The pipeline.
    pub pipeline: String,
    /// The stage; may be left out when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The key.
    pub key: Data,
}

/// A key's state as of the last acknowledged commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The key.
    pub key: Data,
    /// Its partition.
    pub partition: u16,
    /// One per declared state that holds something, in the order of declaration.
    pub states: Vec<StateContent>,
    /// Pending timers, by time.
    pub timers: Vec<PendingTimer>,
}

/// What one state holds for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateContent {
    /// Name of the state.
    pub name: String,
    /// Its elements. At most [`ELEMENTS_MAX`] are listed.
    pub content: Content,
    /// Whether there are more elements than listed.
    #[serde(default)]
    pub truncated: bool,
    /// The clock that elements expire by, as the SDK calls it; none if they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_by: Option<String>,
    /// Of each listed element when it expires, milliseconds since 1970 UTC, or none if it stays. Empty for a state
    /// without TTL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expires_at_ms: Vec<Option<i64>>,
}

/// Elements of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Of kind `value`.
    Value(Data),
    /// Of kind `list`, from index 0.
    List(Vec<Data>),
    /// Of kind `map`, in the order of entry keys.
    Map(Vec<(Data, Data)>),
}

/// A pending timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTimer {
    /// Name of the timer.
    pub name: String,
    /// When it fires, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Keys of a stage that have state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List {
    /// The pipeline.
    pub pipeline: String,
    /// The stage; may be left out when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Keys that start with this.
    #[serde(default)]
    pub prefix: Data,
    /// Keys behind this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Data>,
    /// At most so many, and at most [`KEYS_MAX`].
    pub limit: u32,
}

/// Keys in ascending order of their bytes, over all partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The keys.
    pub keys: Vec<Data>,
    /// Whether there are more; ask again with `after` set to the last one.
    pub more: bool,
}

/// Most elements of a state in one answer.
pub const ELEMENTS_MAX: usize = 1_000;

/// Most keys in one answer.
pub const KEYS_MAX: u32 = 10_000;

operations! {
    Get => StateGet => KeyState { about_pipeline!(); },
    List => StateList => Keys { about_pipeline!(); },
}
