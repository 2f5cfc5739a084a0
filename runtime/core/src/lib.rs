//! The pure core of Millstream: ids, columns, commit records, the partition's
//! protocol, timers and watermarks.
//!
//! Architecture invariant: nothing here knows tokio, wasmtime, RocksDB, NATS, a
//! clock or a serialisation framework. What happens is decided here from facts
//! that others read, and executed by them, so that the simulation runs the very
//! code that runs in production.

pub mod append;
pub mod assignment;
pub mod columns;
pub mod commit;
pub mod delta;
pub mod description;
pub mod egress;
pub mod evolution;
pub mod exchange;
pub mod ids;
pub mod incident;
pub mod outputs;
pub mod partition;
pub mod recovery;
pub mod savepoint;
pub mod seal;
pub mod slice;
pub mod source;
pub mod timers;
pub mod trim;
pub mod udf;
pub mod watermark;
pub mod wire;
