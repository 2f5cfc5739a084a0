//! Column builders: decoded records, one behind the other.

use millstream_core::columns::{Blob, Column, Presence, Values};
use millstream_core::description::{FieldType, InputField};

/// Decoded records. Only appended to; a record that fails leaves no trace.
///
/// All columns, `keys` and `event_times` have the same length. The engine ends a batch long
/// before a column holds 4 GiB, the most that a [`Blob`] can.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// One per declared field. An optional field has presence bits from its first item on.
    pub columns: Vec<Column>,
    /// The key of each record, not distinct.
    pub keys: Blob,
    /// Milliseconds since 1970 UTC, per record.
    pub event_times: Vec<i64>,
}

impl Columns {
    /// Empty columns for the declared fields.
    pub fn new(fields: &[InputField]) -> Self {
        let columns =
            fields.iter().map(|f| Column { present: Presence::default(), values: empty(f.kind) });
        Self { columns: columns.collect(), keys: Blob::default(), event_times: Vec::new() }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.event_times.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.event_times.is_empty()
    }

    /// Bytes that all items take, without the buffers' slack.
    pub fn byte_len(&self) -> usize {
        let values = |v: &Values| match v {
            Values::Booleans(v) => v.len(),
            Values::Integers(v) => 8 * v.len(),
            Values::Floats(v) => 8 * v.len(),
            Values::Blobs(v) => blob(v),
        };
        fn blob(b: &Blob) -> usize {
            b.data.len() + 4 * b.ends.len()
        }
        let columns: usize =
            self.columns.iter().map(|c| values(&c.values) + c.present.0.len()).sum();
        columns + blob(&self.keys) + 8 * self.event_times.len()
    }

    /// Removes all records and keeps the buffers.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Removes the records from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        for column in &mut self.columns {
            truncate(column, len);
        }
        truncate_blob(&mut self.keys, len);
        self.event_times.truncate(len);
    }
}

fn empty(kind: FieldType) -> Values {
    match kind {
        FieldType::Boolean => Values::Booleans(Vec::new()),
        FieldType::S64 | FieldType::Decimal(_) => Values::Integers(Vec::new()),
        FieldType::F64 => Values::Floats(Vec::new()),
        FieldType::Text | FieldType::Bytes | FieldType::Json => Values::Blobs(Blob::default()),
    }
}

fn truncate(column: &mut Column, len: usize) {
    match &mut column.values {
        Values::Booleans(v) => v.truncate(len),
        Values::Integers(v) => v.truncate(len),
        Values::Floats(v) => v.truncate(len),
        Values::Blobs(v) => truncate_blob(v, len),
    }
    let bits = &mut column.present.0;
    bits.truncate(len.div_ceil(8));
    // Bits behind the end stay zero: the next item only ever sets its own.
    if let (Some(last), 1..) = (bits.last_mut(), len % 8) {
        *last &= (1 << (len % 8)) - 1;
    }
}

fn truncate_blob(blob: &mut Blob, len: usize) {
    blob.ends.truncate(len);
    blob.data.truncate(blob.ends.last().map_or(0, |&end| end as usize));
}
