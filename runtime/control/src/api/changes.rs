//! `change.*`: what developers have applied where that needs consent, until somebody gives it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pipelines::{Applied, Apply, Change};
use super::savepoints::Restore;
use super::{Done, operations};
use crate::access::{Caller, PublicKey, Target};

/// A change that waits for consent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proposed {
    /// Its number: 16 hexadecimal digits of the SHA-256 of who proposed what and when.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Revision of the pipeline that the change is based on; 0: it is to be created.
    pub revision: u64,
    /// Field by field; empty when a pipeline is to be created.
    pub changes: Vec<Change>,
    /// SHA-256 of the module of each stage.
    pub modules: BTreeMap<String, String>,
    /// Who proposed it.
    pub by: String,
    /// The key that signed.
    pub key: PublicKey,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// What is to be done.
    pub what: ProposedRequest,
}

/// The request that is made when somebody consents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProposedRequest {
    /// Create or change a pipeline.
    Apply(Apply),
    /// Create a pipeline from a savepoint.
    Restore(Restore),
}

/// Who asks for something that may need consent, and to what was consented. Filled in by the node.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// Who asks.
    pub caller: Caller,
    /// Per stage the module that was consented to; none: nobody has consented.
    pub modules: Option<BTreeMap<String, String>>,
}

/// Lists the changes that wait for consent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {}

/// Changes, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Listing {
    /// The changes.
    pub changes: Vec<Proposed>,
}

/// Shows one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Show {
    /// Its number, or its beginning.
    pub id: String,
}

/// Consents to a change of somebody else, which is made then.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Approve {
    /// Its number.
    pub id: String,
    /// The pipeline that it is of: whoever consents must be an approver of that one.
    pub pipeline: String,
    /// Who consents.
    #[serde(skip)]
    pub caller: Caller,
}

/// Rejects a change, or takes back one's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reject {
    /// Its number.
    pub id: String,
    /// The pipeline that it is of.
    pub pipeline: String,
    /// Who rejects.
    #[serde(skip)]
    pub caller: Caller,
}

operations! {
    List => ChangeList => Listing,
    Show => ChangeShow => Proposed,
    Approve => ChangeApprove => Applied {
        fn target(&self) -> Target {
            Target { pipeline: Some(self.pipeline.clone()), what: Some(self.id.clone()) }
        }
        fn asked_by(&mut self, caller: &Caller) {
            self.caller.clone_from(caller);
        }
    },
    Reject => ChangeReject => Done {
        fn target(&self) -> Target {
            Target { pipeline: Some(self.pipeline.clone()), what: Some(self.id.clone()) }
        }
        fn asked_by(&mut self, caller: &Caller) {
            self.caller.clone_from(caller);
        }
    },
}
