//! Keyed state of a partition: what a UDF remembers per key, kept in memory, above a local RocksDB database.
//!
//! The commit log is the truth and the redo log. [`KeyedState`] is its fold: the engine applies each slice's
//! effects here when it computes them, and reports when their commit is durable. Only then
//! may they be written to the database, which records with every batch where it stands in the log. So a database found
//! after a crash, however old, becomes current by redoing the commits behind `redo_from`.
//!
//! | module | purpose |
//! |---|---|
//! | `keyed` | opening, the running commit, value states |
//! | `slots`, `row` | the cache of value states |
//! | `groups`, `maps`, `lists`, `timers` | the cache of elements and what is made of it |
//! | `ledger`, `dirty` | which commits the database lacks |
//! | `persist`, `evict` | writing to it, and dropping from memory |
//! | `expiry`, `clean` | when elements expire, and dropping those that have |
//! | `database`, `layout`, `positions`, `catalogue` | RocksDB and its rows |
//! | `checkpoint`, `manifest` | copies for another machine |
//! | `deal` | the state of a stage for another number of partitions |
//! | `inspect`, `metrics` | for operators |
//!
//! Architecture invariant: nothing here knows the log, the network or a clock. Time is what
//! [`KeyedState::begin`] says; durability is what [`KeyedState::acknowledged`] says.

mod budget;
mod catalogue;
mod checkpoint;
mod clean;
mod database;
mod deal;
mod dirty;
mod error;
mod evict;
mod expiry;
mod groups;
mod inspect;
mod keyed;
mod layout;
mod ledger;
mod lists;
mod manifest;
mod maps;
mod metrics;
mod persist;
mod positions;
mod row;
mod slab;
mod slots;
mod timers;

pub use budget::{
    BLOCK_CACHE_BYTES_DEFAULT, Budgets, CACHE_BYTES_DEFAULT, MEMTABLE_BYTES_DEFAULT, Shared,
};
pub use checkpoint::{Checkpoint, CheckpointFile, CheckpointFiles, Linked};
pub use deal::{Share, deal};
pub use error::{ErrorKind, StateError};
pub use inspect::{Inspected, Item, KeyContent};
pub use keyed::KeyedState;
pub use manifest::{
    CheckpointManifest, MANIFEST_VERSION, ManifestFile, verify_file, verify_restored, wipe,
};
pub use maps::Entries;
pub use metrics::StateMetrics;
pub use persist::Progress;
pub use positions::LocalState;
pub use slots::SlotId;
