//! The cursor record of a transactional sink: how far a partition's outputs are in the sink's stream, written with them in one
//! batch. It is all that a later owner has to know.
//!
//! Layout: a version byte, the pipeline's incarnation (16 bytes), the first eight bytes of the commit's hash, the commit's
//! number (varint), and the index of the next output (varint). It says nothing of who wrote it: outputs follow from commits,
//! so it makes no difference.

use super::hash_prefix;
use crate::ids::{CommitNumber, Incarnation, LogPoint};
use crate::slice::OutputPoint;
use crate::wire::{Reader, WireError, put_varint};

/// The version that is written.
const VERSION: u8 = 1;

/// How far a sink has a partition's outputs, as the sink's own stream says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorRecord {
    /// Which life of the pipeline.
    pub pipeline: Incarnation,
    /// First eight bytes of the commit's hash.
    pub hash: u64,
    /// All outputs for the sink up to here are in it.
    pub through: OutputPoint,
}

/// Why bytes are no [`CursorRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorRecordError {
    /// Of a later version of this program.
    #[error("version {0}, at most {VERSION} is known")]
    Version(u8),
    /// Damaged, or nothing of ours.
    #[error("it is damaged")]
    Damaged(#[from] WireError),
}

impl CursorRecord {
    /// A record that says: all up to output `count` of this commit.
    pub fn new(pipeline: Incarnation, commit: &LogPoint, count: u32) -> Self {
        let through = OutputPoint { commit: commit.number, count };
        Self { pipeline, hash: hash_prefix(&commit.hash), through }
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.pipeline.0.to_le_bytes());
        bytes.extend_from_slice(&self.hash.to_be_bytes());
        put_varint(&mut bytes, self.through.commit.0);
        put_varint(&mut bytes, self.through.count.into());
        bytes
    }

    /// Reads what [`CursorRecord::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are of a later version, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorRecordError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(CursorRecordError::Version(version));
        }
        let pipeline = Incarnation(u128::from_le_bytes(reader.array()?));
        let hash = u64::from_be_bytes(reader.array()?);
        let commit = CommitNumber(reader.varint()?);
        let count = reader.varint_u32()?;
        reader.finish()?;
        Ok(Self { pipeline, hash, through: OutputPoint { commit, count } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_round_trip(pipeline: u128, hash: u64, commit: u64, count: u32) {
            let through = OutputPoint { commit: CommitNumber(commit), count };
            let record = CursorRecord { pipeline: Incarnation(pipeline), hash, through };
            let bytes = record.encode();
            prop_assert_eq!(CursorRecord::decode(&bytes), Ok(record));
            prop_assert!(CursorRecord::decode(&bytes[..bytes.len() - 1]).is_err());
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in vec(any::<u8>(), 0..60)) {
            let _ = CursorRecord::decode(&bytes);
        }
    }

    #[test]
    fn a_record_of_today_is_read_for_ever() {
        let through = OutputPoint { commit: CommitNumber(300), count: 7 };
        let record = CursorRecord { pipeline: Incarnation(1), hash: 0x0102, through };
        let mut bytes = vec![1, 1];
        bytes.extend_from_slice(&[0; 15]);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 2, 0xac, 2, 7]);
        assert_eq!(record.encode(), bytes);
        bytes[0] = 2;
        assert_eq!(CursorRecord::decode(&bytes), Err(CursorRecordError::Version(2)));
    }
}
