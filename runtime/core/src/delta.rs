//! The state delta of a commit: what became of keyed state and timers, element by
//! element, in order. Values are absolute, so that applying a delta twice is the
//! same as applying it once.
//!
//! An operation is a tag byte, the state or timer (varint), the key, and what the
//! tag needs; byte strings carry their length in front.

use crate::wire::{Reader, WireError, put_bytes, put_signed, put_varint};

/// One change. `state` and `timer` are the indexes of the UDF's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaOp<'a> {
    /// The value of a key: set, or removed (`None`).
    Value {
        /// Index of the state.
        state: u16,
        /// The record key.
        key: &'a [u8],
        /// The new value.
        value: Option<&'a [u8]>,
    },
    /// One entry of a key's map: set, or removed (`None`).
    MapEntry {
        /// Index of the state.
        state: u16,
        /// The record key.
        key: &'a [u8],
        /// The map's own key.
        entry: &'a [u8],
        /// The new value.
        value: Option<&'a [u8]>,
    },
    /// All entries of a key's map are removed.
    MapClear {
        /// Index of the state.
        state: u16,
        /// The record key.
        key: &'a [u8],
    },
    /// One item of a key's list is set; an index equal to the length appends.
    ListItem {
        /// Index of the state.
        state: u16,
        /// The record key.
        key: &'a [u8],
        /// Place in the list.
        index: u64,
        /// The new item.
        value: &'a [u8],
    },
    /// All items of a key's list are removed.
    ListClear {
        /// Index of the state.
        state: u16,
        /// The record key.
        key: &'a [u8],
    },
    /// A timer is set, or removed because it was deleted or fired.
    Timer {
        /// Index of the timer.
        timer: u16,
        /// The record key.
        key: &'a [u8],
        /// When it fires, milliseconds.
        time: i64,
        /// Whether it is there from now on.
        set: bool,
    },
}

/// Tags are part of the persisted format.
mod tag {
    pub const VALUE_SET: u8 = 0;
    pub const VALUE_REMOVED: u8 = 1;
    pub const MAP_SET: u8 = 2;
    pub const MAP_REMOVED: u8 = 3;
    pub const MAP_CLEARED: u8 = 4;
    pub const LIST_SET: u8 = 5;
    pub const LIST_CLEARED: u8 = 6;
    pub const TIMER_SET: u8 = 7;
    pub const TIMER_REMOVED: u8 = 8;
}

/// A place in a [`DeltaWriter`] to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaMark(usize);

/// The operations of one slice, packed in the order they were pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeltaWriter {
    // Holds nothing but whole operations: they come from `push` or passed `from_wire`.
    bytes: Vec<u8>,
}

impl DeltaWriter {
    /// Takes over bytes that were read, if they are nothing but whole operations.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            read(&mut reader)?;
        }
        Ok(Self { bytes: bytes.to_vec() })
    }

    /// Appends an operation.
    pub fn push(&mut self, op: &DeltaOp<'_>) {
        let out = &mut self.bytes;
        let mut head = |tag: u8, state: u16, key: &[u8]| {
            out.push(tag);
            put_varint(out, u64::from(state));
            put_bytes(out, key);
        };
        match *op {
            DeltaOp::Value { state, key, value: Some(value) } => {
                head(tag::VALUE_SET, state, key);
                put_bytes(out, value);
            }
            DeltaOp::Value { state, key, value: None } => head(tag::VALUE_REMOVED, state, key),
            DeltaOp::MapEntry { state, key, entry, value: Some(value) } => {
                head(tag::MAP_SET, state, key);
                put_bytes(out, entry);
                put_bytes(out, value);
            }
            DeltaOp::MapEntry { state, key, entry, value: None } => {
                head(tag::MAP_REMOVED, state, key);
                put_bytes(out, entry);
            }
            DeltaOp::MapClear { state, key } => head(tag::MAP_CLEARED, state, key),
            DeltaOp::ListItem { state, key, index, value } => {
                head(tag::LIST_SET, state, key);
                put_varint(out, index);
                put_bytes(out, value);
            }
            DeltaOp::ListClear { state, key } => head(tag::LIST_CLEARED, state, key),
            DeltaOp::Timer { timer, key, time, set } => {
                head(if set { tag::TIMER_SET } else { tag::TIMER_REMOVED }, timer, key);
                put_signed(out, time);
            }
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The place reached.
    pub fn mark(&self) -> DeltaMark {
        DeltaMark(self.bytes.len())
    }

    /// Forgets all that was pushed behind `mark`, which must be of this writer.
    pub fn rollback(&mut self, mark: DeltaMark) {
        self.bytes.truncate(mark.0);
    }

    /// Removes all operations and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The packed operations.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The operations in order.
    pub fn iter(&self) -> DeltaIter<'_> {
        DeltaIter { reader: Reader::new(&self.bytes) }
    }
}

impl<'a> IntoIterator for &'a DeltaWriter {
    type Item = DeltaOp<'a>;
    type IntoIter = DeltaIter<'a>;

    fn into_iter(self) -> DeltaIter<'a> {
        self.iter()
    }
}

/// The operations of a delta in order.
#[derive(Clone, Debug)]
pub struct DeltaIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for DeltaIter<'a> {
    type Item = DeltaOp<'a>;

    fn next(&mut self) -> Option<DeltaOp<'a>> {
        if self.reader.is_empty() {
            return None;
        }
        let op = read(&mut self.reader);
        debug_assert!(op.is_ok(), "a delta holds whole operations only");
        op.ok()
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<DeltaOp<'a>, WireError> {
    let at = reader.at();
    let tag = reader.u8()?;
    let state = reader.varint_u16()?;
    let key = reader.bytes()?;
    Ok(match tag {
        tag::VALUE_SET => DeltaOp::Value { state, key, value: Some(reader.bytes()?) },
        tag::VALUE_REMOVED => DeltaOp::Value { state, key, value: None },
        tag::MAP_SET => {
            DeltaOp::MapEntry { state, key, entry: reader.bytes()?, value: Some(reader.bytes()?) }
        }
        tag::MAP_REMOVED => DeltaOp::MapEntry { state, key, entry: reader.bytes()?, value: None },
        tag::MAP_CLEARED => DeltaOp::MapClear { state, key },
        tag::LIST_SET => {
            DeltaOp::ListItem { state, key, index: reader.varint()?, value: reader.bytes()? }
        }
        tag::LIST_CLEARED => DeltaOp::ListClear { state, key },
        tag::TIMER_SET => DeltaOp::Timer { timer: state, key, time: reader.signed()?, set: true },
        tag::TIMER_REMOVED => {
            DeltaOp::Timer { timer: state, key, time: reader.signed()?, set: false }
        }
        tag => return Err(WireError::Tag { at, tag }),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// An operation that owns its bytes.
    #[derive(Clone, Debug)]
    pub(crate) struct OwnedOp(u8, u16, Vec<u8>, Vec<u8>, Vec<u8>, u64);

    impl OwnedOp {
        pub(crate) fn borrow(&self) -> DeltaOp<'_> {
            let Self(kind, state, key, entry, value, number) = self;
            let state = *state;
            match kind {
                0 => DeltaOp::Value { state, key, value: Some(value) },
                1 => DeltaOp::Value { state, key, value: None },
                2 => DeltaOp::MapEntry { state, key, entry, value: Some(value) },
                3 => DeltaOp::MapEntry { state, key, entry, value: None },
                4 => DeltaOp::MapClear { state, key },
                5 => DeltaOp::ListItem { state, key, index: *number, value },
                6 => DeltaOp::ListClear { state, key },
                _ => DeltaOp::Timer { timer: state, key, time: *number as i64, set: *kind == 7 },
            }
        }
    }

    pub(crate) fn any_op() -> impl Strategy<Value = OwnedOp> {
        let bytes = || vec(any::<u8>(), 0..20);
        (0u8..9, any::<u16>(), bytes(), bytes(), bytes(), any::<u64>()).prop_map(
            |(kind, state, key, entry, value, number)| {
                OwnedOp(kind, state, key, entry, value, number)
            },
        )
    }

    proptest! {
        #[test]
        fn operations_round_trip_and_roll_back(before in vec(any_op(), 0..10), after in vec(any_op(), 0..10)) {
            let mut writer = DeltaWriter::default();
            before.iter().for_each(|op| writer.push(&op.borrow()));
            let mark = writer.mark();
            after.iter().for_each(|op| writer.push(&op.borrow()));
            let all: Vec<_> = before.iter().chain(&after).map(OwnedOp::borrow).collect();
            prop_assert_eq!(writer.iter().collect::<Vec<_>>(), all);
            prop_assert_eq!(&DeltaWriter::from_wire(writer.as_bytes()).unwrap(), &writer);
            writer.rollback(mark);
            prop_assert_eq!(writer.iter().collect::<Vec<_>>(), before.iter().map(OwnedOp::borrow).collect::<Vec<_>>());
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in vec(any::<u8>(), 0..60)) {
            if let Ok(writer) = DeltaWriter::from_wire(&bytes) {
                writer.iter().for_each(drop);
            }
        }
    }
}
