//! Columns: how the records of a batch, their state and what a call did are laid
//! out. The shapes are those of `wit/udf-0.1.0/types.wit`, which documents them.

/// Byte strings packed into one buffer; item `i` is `data[ends[i-1]..ends[i]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// End of each item in `data`; ascends.
    pub ends: Vec<u32>,
    /// The items, one behind the other.
    pub data: Vec<u8>,
}

impl Blob {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends an item.
    #[inline]
    pub fn push(&mut self, item: &[u8]) {
        self.data.extend_from_slice(item);
        self.ends.push(self.data.len() as u32);
    }

    /// Item `i`. Panics when `i` is out of range.
    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.data[start..self.ends[i] as usize]
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Removes all items and keeps the buffers.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.data.clear();
    }
}

/// One bit per item, least significant first; empty means that all are present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence(pub Vec<u8>);

impl Presence {
    /// Whether item `i` is present.
    #[inline]
    pub fn has(&self, i: usize) -> bool {
        self.0.is_empty() || self.0[i / 8] >> (i % 8) & 1 == 1
    }

    /// Appends the bit of item `i`, which must be the next one. Only for bits kept from item 0 on.
    #[inline]
    pub fn push(&mut self, i: usize, present: bool) {
        if i.is_multiple_of(8) {
            self.0.push(0);
        }
        if present {
            self.0[i / 8] |= 1 << (i % 8);
        }
    }

    /// Removes all bits and keeps the buffer.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The values of one field, one per record.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 0 or 1 per item.
    Booleans(Vec<u8>),
    /// Integers and decimals in units.
    Integers(Vec<i64>),
    /// Doubles.
    Floats(Vec<f64>),
    /// Text, bytes, JSON text.
    Blobs(Blob),
}

impl Values {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Booleans(v) => v.len(),
            Self::Integers(v) => v.len(),
            Self::Floats(v) => v.len(),
            Self::Blobs(v) => v.len(),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all items and keeps the buffers.
    pub fn clear(&mut self) {
        match self {
            Self::Booleans(v) => v.clear(),
            Self::Integers(v) => v.clear(),
            Self::Floats(v) => v.clear(),
            Self::Blobs(v) => v.clear(),
        }
    }
}

/// A field of all records of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Which items are present.
    pub present: Presence,
    /// The items, present or not.
    pub values: Values,
}

/// Values of one state for the distinct keys of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Which keys have a value.
    pub present: Presence,
    /// One item per distinct key.
    pub items: Blob,
}

/// Records of one input, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Index of the declared input.
    pub input: u32,
    /// Distinct keys in order of first appearance.
    pub keys: Blob,
    /// Per record its index in `keys`.
    pub key_of: Vec<u32>,
    /// One per declared field.
    pub columns: Vec<Column>,
    /// One per declared `value` state.
    pub values: Vec<Stored>,
    /// Milliseconds since 1970 UTC, per record.
    pub event_times: Vec<i64>,
    /// The operator's watermark before each record, milliseconds.
    pub watermarks: Vec<i64>,
    /// The watermark of each record's own source before it, milliseconds; empty if it is the operator's.
    pub input_watermarks: Vec<i64>,
    /// Per record; empty without the capability `random`.
    pub seeds: Vec<u64>,
    /// Milliseconds since 1970 UTC.
    pub processing_time: i64,
    /// Changes whenever what broadcast states hold may have changed.
    pub broadcast_epoch: u64,
}

/// Timers that are due, in the order of (time, key, name).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimerBatch {
    /// Distinct keys in order of first appearance.
    pub keys: Blob,
    /// Per timer its index in `keys`.
    pub key_of: Vec<u32>,
    /// Per timer the index of the declared timer.
    pub timers: Vec<u32>,
    /// Per timer the time it was set for, milliseconds.
    pub times: Vec<i64>,
    /// One per declared `value` state.
    pub values: Vec<Stored>,
    /// The operator's watermark, milliseconds.
    pub watermark: i64,
    /// What it was before the advance that makes the timers due; guests do not see it.
    pub watermark_before: i64,
    /// Per timer; empty without the capability `random`.
    pub seeds: Vec<u64>,
    /// Milliseconds since 1970 UTC.
    pub processing_time: i64,
    /// Changes whenever what broadcast states hold may have changed.
    pub broadcast_epoch: u64,
}

/// Items for one declared output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emitted {
    /// Per item the index of the record or timer that caused it; ascends.
    pub causes: Vec<u32>,
    /// One per declared field.
    pub columns: Vec<Column>,
}

/// New values of one `value` state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Key indexes, each at most once.
    pub keys: Vec<u32>,
    /// Present: set; absent: delete.
    pub present: Presence,
    /// One item per key.
    pub items: Blob,
}

/// Timers set and deleted, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimerChanges {
    /// Index of the causing record or timer; ascends.
    pub causes: Vec<u32>,
    /// Index of the declared timer.
    pub timers: Vec<u32>,
    /// Milliseconds.
    pub times: Vec<i64>,
    /// Present: set; absent: delete.
    pub present: Presence,
}

/// All that a call did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// One per declared output.
    pub emitted: Vec<Emitted>,
    /// One per declared `value` state.
    pub written: Vec<Written>,
    /// Timers set and deleted.
    pub timer_changes: TimerChanges,
}
