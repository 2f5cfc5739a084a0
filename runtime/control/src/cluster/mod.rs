//! The cluster: which nodes there are, and which of them runs which partition.
//!
//! | module | what it is for |
//! |---|---|
//! | [`membership`] | a node's own lease, kept while it runs |
//! | [`view`] | which nodes are there, as this one sees it |
//! | [`assignments`] | which node is to run which partition, on record |
//! | [`coordinator`] | writes the assignments, on the node that holds the owner lease |
//! | [`peers`] | asks the nodes what each of them alone knows |
//!
//! Architecture invariant: nothing here makes anything safe. Two coordinators overwrite each other by compare and
//! swap; two nodes that run the same partition are told apart by its log.

pub mod assignments;
pub mod coordinator;
pub mod gathering;
pub mod membership;
pub mod peers;
pub mod view;
