//! CEL expressions over JSON records: what the modules `filter`, `project`, `route`, `aggregate`, `dedup` and `enrich` share.
//!
//! A module compiles the expressions of its configuration once per instance with a [`Compiler`], which refuses what can be
//! refused before the first record, and learns from it which fields of a record are needed at all. Per record it reads
//! those fields into a [`Document`] and evaluates [`Expression`]s in a [`Scope`].
//!
//! Invariant: a result depends on the record, its key, its time and the configuration, and on nothing else. CEL as it is
//! leaves the order of a map's keys to a hash table; here it is the order of the keys (`functions.rs`), also in
//! what is written (`value.rs`), and messages name types and fields, never a map's contents (`fault.rs`).
//!
//! [`docs/no-code.md`](../../../docs/no-code.md) is the language as users see it.

mod analysis;
mod compiler;
mod document;
mod exact;
mod fault;
mod functions;
mod object;
mod raw;
mod scope;
mod settings;
mod value;

pub use compiler::{Compiler, Expression, Plan};
pub use document::{Constant, Document};
pub use exact::{Exact, SCALE_MAX};
pub use object::Fields;
pub use raw::RawFields;
pub use scope::{Meta, Record, Scope};
pub use settings::duration_ms;
pub use value::Owned;

#[cfg(test)]
mod tests;
