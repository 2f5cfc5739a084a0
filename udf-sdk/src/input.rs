//! The type of a record: what `#[derive(Input)]` implements.

use crate::describe::{FieldSource, FieldType, InputField};
use crate::error::Result;
use crate::frame::Column;
use crate::json::Json;
use crate::read::ReadField;

/// The type of the records of an input. Derive it for a struct whose fields are the columns that
/// the UDF wants, or use [`Json<T>`](crate::Json) for the whole document and [`Payload`] for the
/// untouched bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the type of a record",
    label = "the first argument of a handler is the record",
    note = "put `#[derive(Input)]` on it, or take `Json<{Self}>` (any `Deserialize` type) or `Payload<'_>` (raw bytes)"
)]
pub trait Input<'a>: Sized {
    /// The columns, opened for reading.
    type Reader;
    /// The columns that the host shall pass.
    fn fields() -> Vec<InputField>;
    /// Opens the columns.
    fn open(columns: &'a [Column]) -> Self::Reader;
    /// Record `i`, or why it does not fit the type.
    fn read(reader: &Self::Reader, i: usize) -> Result<Self>;
}

/// The payload of a record as it came from the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a>(pub &'a [u8]);

fn whole(kind: FieldType) -> Vec<InputField> {
    vec![InputField { name: "payload".into(), source: FieldSource::Payload, kind, optional: false }]
}

impl<'a> Input<'a> for Payload<'a> {
    type Reader = <&'a [u8] as ReadField<'a>>::Column;

    fn fields() -> Vec<InputField> {
        whole(FieldType::Bytes)
    }

    fn open(columns: &'a [Column]) -> Self::Reader {
        <&[u8]>::open(&columns[0])
    }

    #[inline]
    fn read(reader: &Self::Reader, i: usize) -> Result<Self> {
        <&[u8]>::read(reader, i).map(Payload)
    }
}

impl<'a, T: serde::Deserialize<'a>> Input<'a> for Json<T> {
    type Reader = <Self as ReadField<'a>>::Column;

    fn fields() -> Vec<InputField> {
        whole(FieldType::Json)
    }

    fn open(columns: &'a [Column]) -> Self::Reader {
        <Self as ReadField>::open(&columns[0])
    }

    #[inline]
    fn read(reader: &Self::Reader, i: usize) -> Result<Self> {
        <Self as ReadField>::read(reader, i)
    }
}
