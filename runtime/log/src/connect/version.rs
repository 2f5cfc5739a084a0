//! Versions of nats-server.

use std::fmt;

/// Older servers lack what the log needs (several filters per consumer, batched direct get).
pub const VERSION_REQUIRED: ServerVersion = ServerVersion { major: 2, minor: 10, patch: 0 };
/// Older servers have known faults, and lack fast-ingest batches.
pub const VERSION_RECOMMENDED: ServerVersion = ServerVersion { major: 2, minor: 14, patch: 0 };

/// The three numbers of a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// Incompatible changes.
    pub major: u32,
    /// Features.
    pub minor: u32,
    /// Repairs.
    pub patch: u32,
}

impl ServerVersion {
    /// Reads `2.15.1` or `2.15.0-RC.2`; numbers that are missing or unreadable are 0.
    pub fn parse(text: &str) -> ServerVersion {
        let mut numbers = text
            .trim_start_matches('v')
            .split(['.', '-', '+'])
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        ServerVersion { major: next(), minor: next(), patch: next() }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(ServerVersion::parse("2.15.1"), ServerVersion { major: 2, minor: 15, patch: 1 });
        assert_eq!(
            ServerVersion::parse("v2.12.0-RC.3"),
            ServerVersion { major: 2, minor: 12, patch: 0 }
        );
        assert!(ServerVersion::parse("2.9.10") < VERSION_REQUIRED);
        assert!(ServerVersion::parse("2.10.0") >= VERSION_REQUIRED);
        assert!(ServerVersion::parse("nonsense") < VERSION_REQUIRED);
    }
}
