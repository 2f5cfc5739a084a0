//! The payload codec: from the bytes of a record to typed columns, and from the
//! columns that a guest returns to canonical JSON. Pure; knows nothing of wasmtime.
//!
//! The engine calls [`Decoder`] once per record before a batch is made and
//! [`Encoder`] once per item after the call. Both are the hottest host code there is: no
//! allocation per record, one pass over the payload.
//!
//! What is a JSON document, and what its values are, agrees with `serde_json` (the
//! property tests compare): RFC 8259, the last of duplicate keys wins, at most 127
//! containers inside one another. A number or a string of a field that nobody
//! declared need only be well formed: `1e999` and a lone surrogate fail where they
//! are wanted.

mod columns;
mod decode;
mod encode;
mod error;
mod float;
mod number;
mod paths;
mod scan;
mod source;
mod text;

pub use columns::Columns;
pub use decode::{Decoder, Scanned};
pub use encode::Encoder;
pub use error::{DecodeError, PointerError};
pub use source::{HeaderSource, KeySource, NoHeaders, TimeSource};

/// Whether `text` is one JSON document with at most 127 containers inside one another.
pub fn is_json(text: &[u8]) -> bool {
    scan::check(text).is_ok()
}
