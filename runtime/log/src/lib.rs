//! Everything Millstream keeps in, reads from and writes to NATS JetStream, and
//! in-memory doubles of it.
//!
//! | module | what it is for |
//! |---|---|
//! | [`connect`] | connections, and the contexts of the `nats` CLI |
//! | [`commit_log`] | one log stream per pipeline, one subject per partition, fenced by expected sequences |
//! | [`source`] | reading an existing stream from a position, fast, without a silent loss |
//! | [`egress`] | ordered, deduplicated publishing to sink subjects |
//! | [`kv`] | buckets with revisions and compare-and-swap |
//! | [`blobs`] | content-addressed storage, in JetStream or behind any `object_store` URL |
//! | [`memory`] | the deterministic double of the log, sources and sinks |
//! | [`server`] | private `nats-server` processes for development and tests |
//!
//! Architecture invariant: nothing here decides. This crate reports what the
//! broker said (appended, refused, unknown; delivered, lost, idle) and the core
//! decides what follows. In particular nothing retries a commit by itself.
//!
//! What carries every record, reading a source and publishing outputs, goes over connections of our own (`line`); everything
//! else over the client library.
//!
//! The engine drives [`commit_log::CommitLog`], [`source::Source`] and
//! [`egress::Sink`] as trait objects, since each exists twice: on JetStream and in
//! memory. One conformance suite runs against both.

mod api;
pub mod blobs;
pub mod commit_log;
pub mod connect;
pub mod egress;
pub mod kv;
mod line;
pub mod memory;
mod name;
mod reading;
pub mod server;
pub mod source;

pub use async_nats::{HeaderMap, HeaderName, HeaderValue, Subject};
pub use name::{NAME_BYTES_MAX, Name, NameError};
