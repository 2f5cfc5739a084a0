//! Broadcast state: what belongs to the partition instead of to a key. Handlers of broadcast inputs write it, all
//! others read it.
//!
//! What is read of it is decoded once and kept in memory from call to call, until the host says that it may have
//! changed.

mod cache;
mod map;
mod value;

pub use self::map::BroadcastMap;
pub use self::value::BroadcastValue;
