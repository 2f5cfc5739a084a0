//! `access.*`: who may do what, and who one is.

use serde::{Deserialize, Serialize};

use super::{Done, operations};
use crate::access::{Caller, Grant, Role, Target};

/// What a request must be signed for. Anybody may ask.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Identity {}

/// The cluster and the node that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// Random number of the cluster, 32 hexadecimal digits: made once, in its account.
    pub cluster: String,
    /// Random number of this start of the node that answers: what is signed for it is of no use at another one.
    pub incarnation: String,
}

/// Who signs this request, and as what it is known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WhoAmI {
    /// Filled in by the node.
    #[serde(skip)]
    pub caller: Caller,
}

/// The one who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The public key that signed; none: the request was not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What that key is granted; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// Whether everybody may do everything.
    pub open: bool,
}

/// Whether the one who asks may do something.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Can {
    /// Name of the operation, such as `pipeline.apply`.
    pub operation: String,
    /// With this pipeline; none: with all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Filled in by the node.
    #[serde(skip)]
    pub caller: Caller,
}

/// An answer to [`Can`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The operation.
    pub operation: String,
    /// The pipeline; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, in a few words.
    pub why: String,
}

/// Lists what is granted.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {}

/// What is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Whether everybody may do everything, because nothing has been granted yet.
    pub open: bool,
    /// By name.
    pub grants: Vec<Grant>,
    /// Whether changes of pipelines need the consent of an approver.
    #[serde(default)]
    pub consent: bool,
}

/// Says whether changes of pipelines need the consent of an approver.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct SetConsent {
    /// Whether they do.
    pub needed: bool,
}

/// Grants a key exactly this: what it was granted before no longer counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GrantRequest {
    /// The user's public nkey.
    pub key: String,
    /// Name of the user, for people.
    pub name: String,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Names of pipelines, with `*` at the end for all that begin so; empty: all.
    #[serde(default)]
    pub pipelines: Vec<String>,
    /// Who grants, for the record.
    #[serde(default)]
    pub by: String,
}

/// Takes everything from a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Revoke {
    /// The user's public nkey, or its name.
    pub user: String,
}

operations! {
    Identity => AccessIdentity => Identified,
    WhoAmI => AccessWhoAmI => Me {
        fn asked_by(&mut self, caller: &Caller) {
            self.caller.clone_from(caller);
        }
    },
    Can => AccessCan => Verdict {
        fn asked_by(&mut self, caller: &Caller) {
            self.caller.clone_from(caller);
        }
    },
    List => AccessList => Listing,
    SetConsent => AccessConsent => Done,
    GrantRequest => AccessGrant => Grant {
        fn target(&self) -> Target {
            Target::named(&self.key)
        }
        super::said_by!();
    },
    Revoke => AccessRevoke => Done {
        fn target(&self) -> Target {
            Target::named(&self.user)
        }
    },
}
