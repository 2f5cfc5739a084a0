//! `audit.*`: the audit trail.

use serde::{Deserialize, Serialize};

use super::operations;
use crate::audit::SignedHead;

/// Entries of the trail, in their order.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// Those behind this number; none: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many, and at most [`crate::audit::trail::ENTRIES_MAX`].
    pub limit: u32,
}

/// Entries as they are stored: their hash is over exactly these texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// JSON texts of [`crate::audit::Entry`]; fewer than asked for if more do not fit an answer. None: there are no more.
    pub entries: Vec<String>,
}

/// Has the answering node vouch for all entries behind a number.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Head {
    /// The number; 0: for all.
    #[serde(default)]
    pub after: u64,
}

operations! {
    List => AuditList => Listing,
    Head => AuditHead => SignedHead,
}
