//! Savepoints: the whole of a pipeline at a barrier, under a name.
//!
//! `take` brings all partitions to rest and stores what they hold; `store` knows how that lies in the checkpoint store; `restore`
//! makes the beginning of another life of it, with as many partitions as wanted. What a savepoint holds belongs to nobody else: it
//! shares no file with checkpoints, and stays until it is removed.

mod document;
mod restore;
mod seal;
mod store;
mod take;

pub use document::Savepoint;
pub use restore::{discard, forget_unfinished, seed};
pub use seal::seal;
pub use store::{list, read, remove, write};
pub use take::{Barrier, take};
