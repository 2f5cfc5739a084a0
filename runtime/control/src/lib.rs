//! The control plane: what users want, checked, recorded and made true.
//!
//! | module | what it is for |
//! |---|---|
//! | [`manifest`] | pipeline manifests: reading, checking, comparing, resolving |
//! | [`access`] | who may do what: roles, signed requests |
//! | [`api`] | requests and responses, one subject per operation |
//! | [`audit`] | the trail of who did what |
//! | [`client`] | asks the API |
//! | [`node`] | a runtime's control part: joins the cluster, reconciles; with the lease it coordinates and answers |
//! | [`service`] | answers the API |
//! | [`reconcile`] | makes what runs equal to what is recorded |
//! | [`lease`] | which node coordinates and answers |
//! | [`cluster`] | which nodes there are, and which partition runs on which |
//! | [`folder`] | a node's data folder: its identity, and its lock |
//! | [`readiness`] | whether a node does what it is there for |
//! | [`registry`] | modules and pipelines on record |
//! | [`queues`] | sources that only one consumer may read |
//! | [`starts`] | where the sources of a new pipeline begin |
//! | [`dead_letters`] | listing, redriving and dropping dead letters |
//! | [`worker`] | what is asked of the engine |
//! | [`compiler`] | compiling modules outside this process |
//! | [`problem`], [`errors`] | what went wrong, with a stable code and a help page |
//!
//! A change takes this way: the client asks, the gate lets it through, the trail says so, the service checks it and records it (compare and swap), the
//! reconciler sees the record and calls the worker.
//!
//! Architecture invariant: nothing here touches a commit log. What this crate believes (leases, statuses, desired
//! states) decides what is tried; only the log decides what counts.

pub mod access;
pub mod api;
pub mod audit;
pub mod client;
mod clock;
pub mod cluster;
pub mod compiler;
pub mod dead_letters;
pub mod errors;
pub mod folder;
pub mod lease;
pub mod manifest;
pub mod node;
pub mod problem;
pub mod queues;
pub mod readiness;
pub mod reconcile;
pub mod registry;
pub mod service;
pub mod starts;
pub mod worker;
