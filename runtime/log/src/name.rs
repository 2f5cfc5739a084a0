//! Names that become tokens of NATS subjects and parts of stream names.

use std::fmt;

/// Longest name, in bytes. Subjects are built of three names; servers limit them to 4 KiB by default,
/// file systems limit a stream's folder name to 255.
pub const NAME_BYTES_MAX: usize = 64;

/// The name of a pipeline, stage, tenant or bucket: 1 to 64 of `a-z A-Z 0-9 - _`.
///
/// So it is one token of a subject, part of a stream's name and of a file's name, without any escaping.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name is empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`].
    #[error("name {name:?} has {length} bytes, the limit is {NAME_BYTES_MAX}")]
    TooLong {
        /// The text.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// Something other than letters, digits, `-` and `_`.
    #[error("name {name:?} contains {found:?}; only letters, digits, '-' and '_' are allowed")]
    Character {
        /// The text.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl Name {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Name, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(found) =
            text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
        {
            return Err(NameError::Character { name: text.to_owned(), found });
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { name: text.to_owned(), length: text.len() });
        }
        Ok(Name(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_split_a_subject_is_refused() {
        assert_eq!(Name::new("card-fraud_2").unwrap().as_str(), "card-fraud_2");
        assert_eq!(Name::new(""), Err(NameError::Empty));
        for bad in ["a.b", "a b", "*", ">", "a/b", "é", "a\n"] {
            assert!(matches!(Name::new(bad), Err(NameError::Character { .. })), "{bad:?}");
        }
        assert!(Name::new(&"x".repeat(64)).is_ok());
        assert!(matches!(Name::new(&"x".repeat(65)), Err(NameError::TooLong { length: 65, .. })));
    }
}
