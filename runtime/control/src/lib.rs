//! The control plane: what users want, checked, recorded and made true.
//!
//! | module | what it is for |
//! |---|---|
//! | [`manifest`] | pipeline manifests: reading, checking, comparing, resolving |
//! | [`api`] | requests and responses, one subject per operation |
//! | [`worker`] | what is asked of the engine |
//! | [`problem`], [`errors`] | what went wrong, with a stable code and a help page |

pub mod api;
pub mod errors;
pub mod manifest;
pub mod problem;
pub mod worker;
