//! The outputs of a commit, packed in the order they were emitted. An output's
//! place in the commit is part of its message id in the sink, so the order is part
//! of the format.
//!
//! An item is the output's index (byte), the event time, the key with its length,
//! and the payload behind a length of four bytes (fixed, so that a payload may be
//! written in place before its length is known).

use std::ops::Range;

use bytes::Bytes;

use crate::wire::{Reader, WireError, put_bytes, put_signed};

/// The output that dead letters go to.
pub const DEAD_LETTER: u8 = 255;

/// Bytes of an item besides its key and payload, at most.
pub const OUTPUT_OVERHEAD_MAX: usize = 1 + 10 + 10 + 4;

/// A place in an [`OutputWriter`] to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputMark {
    bytes: usize,
    count: u32,
}

/// One output; `key` and `payload` are ranges of the buffer that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputItem {
    /// Place among the outputs of the commit, from 0.
    pub index: u32,
    /// Index of the declared output, or [`DEAD_LETTER`].
    pub output: u8,
    /// Event time of what caused it, milliseconds.
    pub event_time: i64,
    /// Where the key is.
    pub key: Range<usize>,
    /// Where the payload is.
    pub payload: Range<usize>,
}

/// Collects outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputWriter {
    // Holds nothing but whole items: they come from `push` or passed `from_wire`.
    bytes: Vec<u8>,
    count: u32,
}

impl OutputWriter {
    /// Takes over bytes that were read, if they are nothing but whole items.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut count = 0;
        while !reader.is_empty() {
            read(&mut reader, count)?;
            count += 1;
        }
        Ok(Self { bytes: bytes.to_vec(), count })
    }

    /// Appends an output.
    pub fn push(&mut self, output: u8, key: &[u8], event_time: i64, payload: &[u8]) {
        self.push_with(output, key, event_time, |buffer| buffer.extend_from_slice(payload));
    }

    /// Appends an output whose payload `write` appends to the buffer it is given (and must do
    /// nothing else to).
    pub fn push_with(
        &mut self,
        output: u8,
        key: &[u8],
        event_time: i64,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.bytes.push(output);
        put_signed(&mut self.bytes, event_time);
        put_bytes(&mut self.bytes, key);
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = (self.bytes.len() - length_at - 4) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    /// Number of outputs.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no output.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The place reached.
    pub fn mark(&self) -> OutputMark {
        OutputMark { bytes: self.bytes.len(), count: self.count }
    }

    /// Forgets all that was pushed behind `mark`, which must be of this writer.
    pub fn rollback(&mut self, mark: OutputMark) {
        self.bytes.truncate(mark.bytes);
        self.count = mark.count;
    }

    /// Removes all outputs and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// The packed items; the ranges of [`OutputItem`] point into it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The outputs in order.
    pub fn iter(&self) -> OutputIter<'_> {
        OutputIter { reader: Reader::new(&self.bytes), next: 0 }
    }

    /// Gives the buffer away without copying it, to be shared by whoever publishes.
    pub fn freeze(self) -> Outputs {
        Outputs { bytes: Bytes::from(self.bytes), count: self.count }
    }
}

/// The outputs of a commit, shared. Clones and slices share one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    bytes: Bytes,
    count: u32,
}

impl Outputs {
    /// Number of outputs.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Size of the buffer.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no output.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The outputs in order.
    pub fn iter(&self) -> OutputIter<'_> {
        OutputIter { reader: Reader::new(&self.bytes), next: 0 }
    }

    /// The item at byte `offset` (0 or what this returned before), which is the output with the
    /// given index, and the offset of the next one.
    pub fn read_at(&self, offset: usize, index: u32) -> Option<(OutputItem, usize)> {
        let mut reader = Reader::new(self.bytes.get(offset..)?);
        let mut item = read(&mut reader, index).ok()?;
        for range in [&mut item.key, &mut item.payload] {
            *range = range.start + offset..range.end + offset;
        }
        Some((item, offset + reader.at()))
    }

    /// A part of the buffer. Panics when `range` is of no item of these outputs.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// A part of the buffer without copying it. Panics when `range` is of no item of these outputs.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }
}

/// Outputs in order.
#[derive(Clone, Debug)]
pub struct OutputIter<'a> {
    reader: Reader<'a>,
    next: u32,
}

impl Iterator for OutputIter<'_> {
    type Item = OutputItem;

    fn next(&mut self) -> Option<OutputItem> {
        if self.reader.is_empty() {
            return None;
        }
        let item = read(&mut self.reader, self.next);
        debug_assert!(item.is_ok(), "the buffer holds whole items only");
        self.next += 1;
        item.ok()
    }
}

fn read(reader: &mut Reader<'_>, index: u32) -> Result<OutputItem, WireError> {
    let output = reader.u8()?;
    let event_time = reader.signed()?;
    let key_length = reader.bytes()?.len();
    let key = reader.at() - key_length..reader.at();
    let length = u32::from_le_bytes(reader.array()?);
    let start = reader.at();
    reader.take(u64::from(length))?;
    Ok(OutputItem { index, output, event_time, key, payload: start..reader.at() })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn outputs_round_trip_and_share_their_buffer(
            items in vec((any::<u8>(), vec(any::<u8>(), 0..9), any::<i64>(), vec(any::<u8>(), 0..30)), 0..12),
            kept in 0usize..12,
        ) {
            let mut writer = OutputWriter::default();
            let mut mark = writer.mark();
            for (i, (output, key, time, payload)) in items.iter().enumerate() {
                if i == kept {
                    mark = writer.mark();
                }
                writer.push(*output, key, *time, payload);
            }
            prop_assert_eq!(&OutputWriter::from_wire(writer.as_bytes()).unwrap(), &writer);
            let outputs = writer.clone().freeze();
            let mut offset = 0;
            for (item, (output, key, time, payload)) in outputs.iter().zip(&items) {
                prop_assert_eq!((item.output, item.event_time), (*output, *time));
                prop_assert_eq!(&outputs.slice(item.key.clone())[..], &key[..]);
                prop_assert_eq!(&outputs.slice(item.payload.clone())[..], &payload[..]);
                let (again, next) = outputs.read_at(offset, item.index).unwrap();
                prop_assert_eq!(again, item);
                offset = next;
            }
            prop_assert_eq!(outputs.read_at(offset, 0), None);
            prop_assert_eq!(outputs.count() as usize, items.len());
            if kept < items.len() {
                writer.rollback(mark);
                prop_assert_eq!(writer.iter().count(), kept);
            }
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in vec(any::<u8>(), 0..60)) {
            if let Ok(writer) = OutputWriter::from_wire(&bytes) {
                prop_assert_eq!(writer.iter().count() as u32, writer.count());
            }
        }
    }
}
