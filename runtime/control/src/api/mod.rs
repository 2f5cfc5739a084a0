//! The control API: requests and responses as serde types, one subject per
//! operation under `millstream.api.v1`. [`crate::service`] answers, [`crate::client`] asks.
//!
//! A request is a JSON object (an empty payload counts as `{}`). A success is the response's
//! JSON. A refusal has an empty payload and the headers of the NATS service protocol,
//! `Nats-Service-Error` and `Nats-Service-Error-Code`, beside [`PROBLEMS_HEADER`] with the
//! JSON of [`crate::problem::Problems`].
//!
//! A request may be signed, and must be where [`crate::access`] says who may do what: four headers beside it, see
//! [`crate::access::signature`].
//!
//! Fields are only ever added; a reader ignores fields it does not know.

pub mod access;
pub mod audit;
pub mod changes;
pub mod checkpoints;
pub mod data;
pub mod dead_letters;
mod kind;
pub mod local;
pub mod logs;
pub mod modules;
pub mod node;
pub mod pipelines;
pub mod savepoints;
pub mod state;
pub mod status;

pub use data::Data;
pub use kind::Kind;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::{Caller, Target};

/// Name of the NATS service (`nats micro info millstream`).
pub const SERVICE_NAME: &str = "millstream";

/// Common part of all request subjects.
pub const SUBJECT_PREFIX: &str = "millstream.api.v1";

/// Name of the NATS service that every node offers to the others.
pub const NODE_SERVICE_NAME: &str = "millstream-node";

/// Common part of the subjects of requests to one node ([`local`]); its identity follows.
pub const NODE_SUBJECT_PREFIX: &str = "millstream.node.v1";

/// Header that carries the problems of a refusal.
pub const PROBLEMS_HEADER: &str = "Millstream-Problems";

/// One operation of the API: its subject and its types.
pub trait Operation: Serialize + DeserializeOwned + Send + Sync {
    /// Which one.
    const KIND: Kind;
    /// Last part of the subject, such as `pipeline.apply`.
    const NAME: &'static str = Self::KIND.name();
    /// What comes back.
    type Response: Serialize + DeserializeOwned + Send;

    /// What this request amounts to: a dry run is not what it is a dry run of.
    fn kind(&self) -> Kind {
        Self::KIND
    }

    /// What it is about.
    fn target(&self) -> Target {
        Target::default()
    }

    /// Who the request says that it is of: a claim, for the record of those that are not signed.
    fn claims(&self) -> Option<&str> {
        None
    }

    /// Learns who asks. What a request says of that itself is only a claim.
    fn asked_by(&mut self, _caller: &Caller) {}
}

/// Ties request types to their operation and response. What differs from the trait's defaults follows in braces.
macro_rules! operations {
    ($($request:ty => $kind:ident => $response:ty $({ $($item:tt)* })?),* $(,)?) => {
        $(impl $crate::api::Operation for $request {
            const KIND: $crate::api::Kind = $crate::api::Kind::$kind;
            type Response = $response;
            $($($item)*)?
        })*
    };
}
pub(crate) use operations;

/// A request with the field `pipeline`.
macro_rules! about_pipeline {
    () => {
        fn target(&self) -> $crate::access::Target {
            $crate::access::Target::pipeline(&self.pipeline)
        }
    };
}
pub(crate) use about_pipeline;

/// A request with the field `by`.
macro_rules! said_by {
    () => {
        fn claims(&self) -> Option<&str> {
            (!self.by.is_empty()).then_some(self.by.as_str())
        }

        fn asked_by(&mut self, caller: &$crate::access::Caller) {
            if let Some(name) = &caller.name {
                self.by.clone_from(name);
            }
        }
    };
}
pub(crate) use said_by;

/// A request with the fields `by` and `consent`.
macro_rules! may_need_consent {
    () => {
        fn claims(&self) -> Option<&str> {
            (!self.by.is_empty()).then_some(self.by.as_str())
        }

        fn asked_by(&mut self, caller: &$crate::access::Caller) {
            if let Some(name) = &caller.name {
                self.by.clone_from(name);
            }
            self.consent.caller.clone_from(caller);
        }
    };
}
pub(crate) use may_need_consent;

/// A response without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {}
