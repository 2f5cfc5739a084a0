//! Where a record's key and event time come from, and its headers.

/// Where the key of a record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A token of the subject, counted from 0.
    SubjectToken(usize),
    /// The first value of a header.
    Header(String),
    /// A JSON pointer (RFC 6901) to a string, whose bytes are the key, or to a number or
    /// boolean, whose JSON text is.
    Pointer(String),
    /// All records have the empty key.
    None,
    /// All records have the empty key and go to every partition: the input is broadcast.
    Every,
}

/// Where the event time of a record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// A JSON pointer to an integer, milliseconds since 1970 UTC.
    Pointer(String),
    /// A header whose first value is such an integer.
    Header(String),
    /// The broker's timestamp.
    Broker,
}

/// The headers of one record.
pub trait HeaderSource {
    /// The first value of the header, if there is one.
    fn header(&self, name: &str) -> Option<&[u8]>;
}

/// A record without headers.
pub struct NoHeaders;

impl HeaderSource for NoHeaders {
    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}
