//! The control API: requests and responses as serde types, one subject per
//! operation under `millstream.api.v1`. [`crate::service`] answers, [`crate::client`] asks.
//!
//! A request is a JSON object (an empty payload counts as `{}`). A success is the response's
//! JSON. A refusal has an empty payload and the headers of the NATS service protocol,
//! `Nats-Service-Error` and `Nats-Service-Error-Code`, beside [`PROBLEMS_HEADER`] with the
//! JSON of [`crate::problem::Problems`].
//!
//! Fields are only ever added; a reader ignores fields it does not know.

pub mod checkpoints;
pub mod data;
pub mod dead_letters;
pub mod local;
pub mod logs;
pub mod modules;
pub mod node;
pub mod pipelines;
pub mod savepoints;
pub mod state;
pub mod status;

pub use data::Data;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
    /// Last part of the subject, such as `pipeline.apply`.
    const NAME: &'static str;
    /// What comes back.
    type Response: Serialize + DeserializeOwned + Send;
}

/// Ties request types to their subject and response.
macro_rules! operations {
    ($($request:ty => $name:literal => $response:ty),* $(,)?) => {
        $(impl $crate::api::Operation for $request {
            const NAME: &'static str = $name;
            type Response = $response;
        })*
    };
}
pub(crate) use operations;

/// A response without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {}
