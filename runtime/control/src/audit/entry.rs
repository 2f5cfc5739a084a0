//! What an entry of the trail says. Never a payload, a key of state, or a secret.

pub use millstream_engine::status::CommitPoint;
use serde::{Deserialize, Serialize};

use super::Digest;
use crate::access::PublicKey;
use crate::errors::Code;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts entries, from 1; the message's sequence in its stream.
    pub number: u64,
    /// SHA-256 of the entry before; zeros for the first one.
    pub previous: Digest,
    /// Clock of the node that wrote it, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Name of that node.
    pub node: String,
    /// Random number of that node's start.
    pub incarnation: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// A node begins to write; the first entry of a trail is one.
    Writer {
        /// Number of the cluster.
        cluster: String,
        /// The node's public key, with which it signs heads.
        key: PublicKey,
    },
    /// Something is about to be changed, or records or state to be shown.
    Request(Asked),
    /// Somebody asked for what the access document does not grant them.
    Denied(Asked),
    /// What came of a request.
    Outcome {
        /// Number of the request's entry.
        of: u64,
        /// Whether it was done.
        done: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
    },
    /// Commits that are in the log. Each record of it repeats the hash of the one before, so that a point pins all commits
    /// of its partition up to it.
    Commits {
        /// The newest commit of each partition that has committed since the last such entry.
        points: Vec<CommitPoint>,
    },
}

/// A request: who, what, on what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The operation, such as `pipeline.apply`.
    pub operation: String,
    /// The pipeline that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// What else it is about: a module, a node, a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Who is granted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The public key that signed it; none: nobody did, in a cluster that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// Who an unsigned request says that it is of: a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<String>,
    /// The signed request's nonce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// SHA-256 of the request's bytes.
    pub digest: Digest,
    /// Whether an outcome follows: not for what only shows something.
    pub changes: bool,
}
