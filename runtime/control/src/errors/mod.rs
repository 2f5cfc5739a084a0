//! The catalogue of error codes. A code never changes its meaning and is never
//! used again. Each has a help page, `docs/errors/MSxxxx.md`, which is rendered from here.
//!
//! | codes | what is wrong |
//! |---|---|
//! | 10xx | the manifest by itself |
//! | 11xx | the manifest against its modules and sections |
//! | 12xx | a change that a running pipeline cannot take |
//! | 13xx | the registry, pipelines, dead letters |
//! | 14xx | reaching a node, storage |
//! | 15xx | the command line, and the machine it runs on |
//! | 16xx | who may do what, and the audit trail |

mod access;
mod change;
mod command;
mod manifest;
mod node;
mod page;
mod reference;
mod registry;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use page::{INDEX_PAGE, pages};

/// An error code, printed as `MS1003`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MS{:04}", self.0)
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let digits = text.strip_prefix("MS").or_else(|| text.strip_prefix("ms")).unwrap_or(text);
        digits.parse().map(Code).map_err(|_| UnknownCode(text.to_owned()))
    }
}

/// A text that is no error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an error code such as MS1003")]
pub struct UnknownCode(pub String);

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// A few words.
    pub title: &'static str,
    /// What leads to it.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// Declares one constant per code and the list of their entries.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal, $cause:literal, $fix:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: $crate::errors::Code = $crate::errors::Code($number);
        )*
        pub(super) const ENTRIES: &[$crate::errors::Entry] = &[
            $($crate::errors::Entry { code: $name, title: $title, cause: $cause, fix: $fix },)*
        ];
    };
}
use catalogue;

pub use access::*;
pub use change::*;
pub use command::*;
pub use manifest::*;
pub use node::*;
pub use reference::*;
pub use registry::*;

/// All entries in the order of their codes.
pub fn entries() -> Vec<Entry> {
    [
        manifest::ENTRIES,
        reference::ENTRIES,
        change::ENTRIES,
        registry::ENTRIES,
        node::ENTRIES,
        command::ENTRIES,
        access::ENTRIES,
    ]
    .concat()
}

/// The entry of a code.
pub fn entry(code: Code) -> Option<Entry> {
    entries().into_iter().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_read_back() {
        let codes: Vec<Code> = entries().iter().map(|entry| entry.code).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        for code in codes {
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        assert!("MSxyz".parse::<Code>().is_err());
    }
}
