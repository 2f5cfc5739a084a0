//! The audit trail: who did what, when, and what came of it; and which commits there are.
//!
//! | module | what it is for |
//! |---|---|
//! | [`entry`] | what an entry says |
//! | [`chain`] | entries as a hash chain, and its signed head |
//! | [`export`] | a trail in a file: what `millstream audit verify` finds out about it, without a network |
//! | [`trail`] | the trail in its JetStream stream |
//! | [`anchors`] | commits, pinned by entries now and then |
//!
//! An entry is one message of the stream `millstream-audit`: JSON that repeats the SHA-256 of the message before it. The
//! stream denies deleting and purging, and an entry is appended behind the last one only (expected last sequence), so that
//! two nodes cannot fork it.
//!
//! A change is written twice: what is asked before it is done, and what came of it afterwards. If the first cannot be
//! written, nothing is done. A request without an outcome means that the node ended, or lost the trail, in between: the
//! change may have been made or not, and whoever wants to know looks at what it was about.
//!
//! Architecture invariant: what changes something is answered by [`crate::service`] only after its entry was acknowledged.

pub mod anchors;
pub mod chain;
pub mod entry;
pub mod export;
pub mod trail;

pub use chain::{Digest, SignedHead};
pub use entry::{CommitPoint, Entry, What};
pub use trail::Trail;
