//! Why a record cannot be decoded. No message holds any of the payload.

use thiserror::Error;

/// Why a record is a dead letter before a guest sees it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The payload is not a JSON document.
    #[error("the payload is not JSON: {expected} expected at byte {offset}")]
    Syntax {
        /// What would have been right.
        expected: &'static str,
        /// Byte of the payload, counted from 0.
        offset: usize,
    },
    /// The payload nests deeper than the limit.
    #[error("the payload nests more than {limit} containers at byte {offset}")]
    Depth {
        /// Containers inside one another.
        limit: usize,
        /// Byte of the payload.
        offset: usize,
    },
    /// A value has another type than declared.
    #[error("{place}: {expected} expected, found {found}")]
    Mismatch {
        /// The pointer, header or subject.
        place: String,
        /// What was declared.
        expected: String,
        /// What is there, in general terms.
        found: &'static str,
    },
}

/// A JSON pointer that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{pointer:?} is not a JSON pointer: {reason}")]
pub struct PointerError {
    /// The text.
    pub pointer: String,
    /// What is wrong with it.
    pub reason: &'static str,
}
