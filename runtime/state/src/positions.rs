//! The row that ties the database to the log. Every write batch carries it.
//!
//! Layout: version (2), `redo_from`, `newest` (each: number u64, hash 32 bytes, sequence u64), processing time i64, watermark i64; little
//! endian. Version 1 is read too: it ends without a watermark.

use std::path::Path;

use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, Sequence};

use crate::error::StateError;

/// Where a local database stands in the log. Both points must be found in the log (same hash
/// at that sequence), or the folder is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalState {
    /// The last commit all of whose effects are in the database. Redo starts behind it; number 0: from the first.
    pub redo_from: LogPoint,
    /// The newest commit of which some effect may be in the database. Redo must reach it before anything is read.
    pub newest: LogPoint,
    /// Processing time of the newest commit acknowledged when the positions were written, milliseconds.
    pub processing_time: i64,
    /// Watermark of the newest commit acknowledged when the positions were written, milliseconds.
    pub watermark: i64,
}

const VERSION: u8 = 2;
const POINT: usize = 48;
const TIMES: usize = 1 + 2 * POINT;
const LENGTH: usize = TIMES + 16;
/// Without the watermark.
const LENGTH_1: usize = TIMES + 8;

impl LocalState {
    pub(crate) fn encode(&self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        out[0] = VERSION;
        for (i, point) in [&self.redo_from, &self.newest].into_iter().enumerate() {
            let at = 1 + i * POINT;
            out[at..at + 8].copy_from_slice(&point.number.0.to_le_bytes());
            out[at + 8..at + 40].copy_from_slice(&point.hash.0);
            out[at + 40..at + 48].copy_from_slice(&point.sequence.0.to_le_bytes());
        }
        out[TIMES..TIMES + 8].copy_from_slice(&self.processing_time.to_le_bytes());
        out[TIMES + 8..].copy_from_slice(&self.watermark.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8], dir: &Path) -> Result<Self, StateError> {
        let version = bytes.first().copied().unwrap_or(0);
        let expected = if version == 1 { LENGTH_1 } else { LENGTH };
        if !(1..=VERSION).contains(&version) || bytes.len() != expected {
            return Err(StateError::Damaged {
                dir: dir.to_owned(),
                fact: format!(
                    "its positions have {} bytes and version {version}, expected {LENGTH} bytes and version {VERSION}",
                    bytes.len()
                ),
            });
        }
        let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("in range"));
        let point = |at: usize| LogPoint {
            number: CommitNumber(number(at)),
            hash: CommitHash(*bytes[at + 8..].first_chunk().expect("in range")),
            sequence: Sequence(number(at + 40)),
        };
        Ok(Self {
            redo_from: point(1),
            newest: point(1 + POINT),
            processing_time: number(TIMES) as i64,
            watermark: if version == 1 { i64::MIN } else { number(TIMES + 8) as i64 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_come_back(a: u64, b: u64, c: u64, hash: [u8; 32], processing_time: i64, watermark: i64) {
            let point = |n, s| LogPoint { number: CommitNumber(n), hash: CommitHash(hash), sequence: Sequence(s) };
            let state = LocalState { redo_from: point(a, b), newest: point(b, c), processing_time, watermark };
            prop_assert_eq!(LocalState::decode(&state.encode(), Path::new("d")).unwrap(), state);
            let mut first = state.encode()[..LENGTH_1].to_vec();
            first[0] = 1;
            let before = LocalState { watermark: i64::MIN, ..state };
            prop_assert_eq!(LocalState::decode(&first, Path::new("d")).unwrap(), before);
        }
    }

    #[test]
    fn other_versions_are_refused() {
        let mut bytes = LocalState {
            redo_from: LogPoint::default(),
            newest: LogPoint::default(),
            processing_time: 0,
            watermark: 0,
        }
        .encode();
        bytes[0] = 3;
        assert!(
            LocalState::decode(&bytes, Path::new("d"))
                .unwrap_err()
                .to_string()
                .contains("version 3")
        );
        assert!(LocalState::decode(&[], Path::new("d")).is_err());
    }
}
