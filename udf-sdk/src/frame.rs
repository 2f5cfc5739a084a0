//! What crosses the boundary, as plain data: the Rust form of
//! `wit/udf-0.1.0/types.wit`, which documents every shape. The component bindings
//! and the native test harness use these very types, so both run the same glue.
//!
//! User code has no need of this module.

/// Byte strings packed into one buffer; item `i` is `data[ends[i-1]..ends[i]]`.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// End of each item in `data`; ascends.
    pub ends: Vec<u32>,
    /// The items, one behind the other.
    #[cfg_attr(not(target_arch = "wasm32"), serde(with = "crate::vectors::text_or_hex"))]
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
        item(&self.ends, &self.data, i)
    }
}

/// Item `i` of a packed list.
#[inline]
pub(crate) fn item<'a>(ends: &[u32], data: &'a [u8], i: usize) -> &'a [u8] {
    let start = if i == 0 { 0 } else { ends[i - 1] as usize };
    &data[start..ends[i] as usize]
}

/// One bit per item, least significant first; empty means that all are present.
pub type Presence = Vec<u8>;

/// Whether item `i` is present.
#[inline]
pub(crate) fn is_present(presence: &[u8], i: usize) -> bool {
    presence.is_empty() || presence[i / 8] >> (i % 8) & 1 == 1
}

/// Appends the bit of item `i`, which is the next one.
#[inline]
pub(crate) fn push_presence(presence: &mut Presence, i: usize, present: bool) {
    if i.is_multiple_of(8) {
        presence.push(0);
    }
    presence[i / 8] |= u8::from(present) << (i % 8);
}

/// The values of one field, one per record.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 0 or 1 per item.
    #[cfg_attr(not(target_arch = "wasm32"), serde(with = "crate::vectors::hex"))]
    Booleans(Vec<u8>),
    /// Integers, and decimals in units.
    Integers(Vec<i64>),
    /// Doubles.
    Floats(Vec<f64>),
    /// Text, bytes, JSON text.
    Blobs(Blob),
}

/// A field of all records of a batch.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Which items are present.
    #[cfg_attr(not(target_arch = "wasm32"), serde(with = "crate::vectors::hex"))]
    pub present: Presence,
    /// The items, present or not.
    pub values: Values,
}

/// Values of one state for the distinct keys of a batch.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Which keys have a value.
    #[cfg_attr(not(target_arch = "wasm32"), serde(with = "crate::vectors::hex"))]
    pub present: Presence,
    /// One item per distinct key.
    pub items: Blob,
}

/// Records of one input, in order.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
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
    /// The watermark of each record's own source before it; empty if it is the operator's.
    pub input_watermarks: Vec<i64>,
    /// Per record; empty without the capability `random`.
    pub seeds: Vec<u64>,
    /// Milliseconds since 1970 UTC.
    pub processing_time: i64,
    /// Changes whenever what broadcast states hold may have changed.
    pub broadcast_epoch: u64,
}

/// Timers that are due, in the order of (time, key, name).
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
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
    /// Per timer; empty without the capability `random`.
    pub seeds: Vec<u64>,
    /// Milliseconds since 1970 UTC.
    pub processing_time: i64,
    /// Changes whenever what broadcast states hold may have changed.
    pub broadcast_epoch: u64,
}

/// Items for one declared output.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emitted {
    /// Per item the index of the record or timer that caused it; ascends.
    pub causes: Vec<u32>,
    /// One per declared field.
    pub columns: Vec<Column>,
}

/// New values of one `value` state.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Key indexes, each at most once.
    pub keys: Vec<u32>,
    /// Present: set; absent: delete.
    #[cfg_attr(not(target_arch = "wasm32"), serde(with = "crate::vectors::hex"))]
    pub present: Presence,
    /// One item per key.
    pub items: Blob,
}

/// Timers set and deleted, in order.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimerChanges {
    /// Index of the causing record or timer; ascends.
    pub causes: Vec<u32>,
    /// Index of the declared timer.
    pub timers: Vec<u32>,
    /// Milliseconds.
    pub times: Vec<i64>,
    /// Present: set; absent: delete.
    #[cfg_attr(not(target_arch = "wasm32"), serde(with = "crate::vectors::hex"))]
    pub present: Presence,
}

/// All that a call did.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// One per declared output.
    pub emitted: Vec<Emitted>,
    /// One per declared `value` state.
    pub written: Vec<Written>,
    /// Timers set and deleted.
    pub timer_changes: TimerChanges,
}

/// The refusal of one record or timer.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Index in the batch.
    pub index: u32,
    /// For the operator.
    pub message: String,
}
