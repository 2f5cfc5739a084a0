//! Newtypes for everything that has an identity or a position.

use std::fmt;

/// Position of a commit in its partition's history; the first record is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

/// Counts the owners of a partition; a higher one fences all lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// A JetStream stream sequence; 0 means "none yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Index of a source within its stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);

/// Random number of one ownership (a takeover) or of one life of a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

/// BLAKE3 of a commit record's bytes. All zero: "no record before the first".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitHash(pub [u8; 32]);

impl fmt::Debug for CommitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CommitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A commit as a place in the log: which one, proven by its hash, and where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPoint {
    /// Which commit.
    pub number: CommitNumber,
    /// Its hash.
    pub hash: CommitHash,
    /// Its sequence in the log stream.
    pub sequence: Sequence,
}

/// The watermark before any record was seen.
pub const WATERMARK_MIN: i64 = i64::MIN;
/// The watermark at the end of a bounded input.
pub const WATERMARK_MAX: i64 = i64::MAX;

/// The hash that decides a key's partition and its place in the cache. Part of the persisted
/// contract: partitions of old logs depend on it.
#[inline]
pub fn key_hash(key: &[u8]) -> u64 {
    // FNV-1a over 8-byte words, finished with the SplitMix64 mix: short keys, no tables, stable for ever.
    let mut h: u64 = 0xcbf2_9ce4_8422_2325 ^ key.len() as u64;
    let mut words = key.chunks_exact(8);
    for word in &mut words {
        let w = u64::from_le_bytes([
            word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
        ]);
        h = (h ^ w).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        h ^= h >> 32;
    }
    for &b in words.remainder() {
        h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// The partition of a key among `partitions` (at least 1).
#[inline]
pub fn partition_of(hash: u64, partitions: u16) -> u16 {
    // The upper half decides, so that the cache may use the lower bits.
    (((hash >> 32) * u64::from(partitions)) >> 32) as u16
}
