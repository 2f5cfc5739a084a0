//! Who may do what.
//!
//! | module | what it is for |
//! |---|---|
//! | [`role`] | the roles |
//! | [`rule`] | the one table that says which operation needs which role |
//! | [`document`] | who has which role: what is granted to users' keys |
//! | [`key`] | nkeys that sign: users' and nodes' |
//! | [`signature`] | what a signed request looks like |
//! | [`nonces`] | that a signed request counts once |
//! | [`gate`] | brings these together: every request passes it before it is answered |
//! | [`store`] | the bucket that holds the cluster's number and what is granted |
//!
//! A cluster in which nothing has been granted is open: everybody who may publish requests may do everything, signed or
//! not. The first grant closes it.
//!
//! Architecture invariant: an operation without an entry in [`rule`] does not compile, and one whose entry names no role is
//! nobody's.

pub mod document;
pub mod gate;
pub mod key;
mod nonces;
pub mod role;
pub mod rule;
pub mod signature;
pub mod store;

use crate::api::pipelines::ManifestText;
use crate::manifest::Document;

pub use document::{AccessDocument, Grant};
pub use gate::Gate;
pub use key::{PublicKey, SigningKey};
pub use role::Role;

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The one pipeline that it is about, if it is about one.
    pub pipeline: Option<String>,
    /// What else it names: a module, a node, a key.
    pub what: Option<String>,
}

impl Target {
    /// A pipeline.
    pub fn pipeline(name: impl Into<String>) -> Self {
        Target { pipeline: Some(name.into()), what: None }
    }

    /// Something that is no pipeline.
    pub fn named(what: impl Into<String>) -> Self {
        Target { pipeline: None, what: Some(what.into()) }
    }

    /// The pipeline of a manifest. One that cannot be read is about none; whoever answers the request says what is wrong
    /// with it.
    pub fn manifest(manifest: &ManifestText) -> Self {
        let document = Document::parse(&manifest.file, &manifest.text).ok();
        Target { pipeline: document.map(|document| document.manifest.name), what: None }
    }
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The key that signed; none: the request was not signed.
    pub key: Option<PublicKey>,
    /// What the key's grant calls it; none: nothing is granted to it.
    pub name: Option<String>,
    /// The request's nonce, if it was signed.
    pub nonce: Option<String>,
}
