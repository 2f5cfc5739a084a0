//! Reading input columns: how each Rust type takes its value of a record out of a column.

use crate::decimal::Decimal;
use crate::describe::FieldType;
use crate::error::{Error, Result};
use crate::frame::{Blob, Column, Values, is_present, item};
use crate::json::{Json, RawJson};

/// A type that a field of an [`Input`](macro@crate::Input) can have.
///
/// | type | JSON value |
/// |---|---|
/// | `&str`, `String` | string |
/// | `i64`, `i32`, `i16`, `i8`, `u32`, `u16`, `u8` | number without fraction; refused if it does not fit |
/// | `f64` | number, to the nearest double |
/// | `bool` | `true` or `false` |
/// | [`Decimal<S>`](crate::Decimal) | number or string, exactly, in units of 10^-S |
/// | [`Json<T>`](crate::Json), [`RawJson`](crate::RawJson) | any |
/// | `&[u8]`, `Vec<u8>` | none: only for `#[field(payload)]` and `#[field(header = "...")]` |
/// | `Option<T>` of these | may be missing or `null` |
#[diagnostic::on_unimplemented(
    message = "an input field cannot have the type `{Self}`",
    label = "not a type of input field",
    note = "use `&'a str`, `String`, `i64` (or a smaller integer), `f64`, `bool`, `Decimal<2>`, `Json<T>` for anything else that is JSON, or an `Option` of these",
    note = "`u64` and `usize` are missing because a column holds signed 64-bit integers; `f32` because it would round twice"
)]
pub trait ReadField<'a>: Sized {
    /// What the field holds.
    const KIND: FieldType;
    /// Whether it may be missing.
    const OPTIONAL: bool = false;
    /// The column, opened for reading.
    type Column;
    /// Opens the column. Panics if the host passed another kind than [`Self::KIND`].
    fn open(column: &'a Column) -> Self::Column;
    /// The value of record `i`.
    fn read(column: &Self::Column, i: usize) -> Result<Self>;
}

/// The kinds of the columns are fixed by the description, so this is the host's mistake.
#[cold]
#[inline(never)]
fn wrong_kind() -> ! {
    panic!("the host passed a column of another kind than the one declared")
}

/// A text column, checked to be UTF-8 once as a whole.
pub struct TextReader<'a> {
    ends: &'a [u32],
    text: &'a str,
}

impl<'a> TextReader<'a> {
    fn open(column: &'a Column) -> Self {
        let Values::Blobs(blob) = &column.values else { wrong_kind() };
        match std::str::from_utf8(&blob.data) {
            Ok(text) => Self { ends: &blob.ends, text },
            Err(_) => panic!("the host passed text that is not UTF-8"),
        }
    }

    #[inline]
    fn get(&self, i: usize) -> &'a str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.text[start..self.ends[i] as usize]
    }
}

impl<'a> ReadField<'a> for &'a str {
    const KIND: FieldType = FieldType::Text;
    type Column = TextReader<'a>;

    fn open(column: &'a Column) -> Self::Column {
        TextReader::open(column)
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(column.get(i))
    }
}

impl<'a> ReadField<'a> for String {
    const KIND: FieldType = FieldType::Text;
    type Column = TextReader<'a>;

    fn open(column: &'a Column) -> Self::Column {
        TextReader::open(column)
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(column.get(i).to_owned())
    }
}

impl<'a> ReadField<'a> for &'a [u8] {
    const KIND: FieldType = FieldType::Bytes;
    type Column = &'a Blob;

    fn open(column: &'a Column) -> Self::Column {
        let Values::Blobs(blob) = &column.values else { wrong_kind() };
        blob
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(item(&column.ends, &column.data, i))
    }
}

impl<'a> ReadField<'a> for Vec<u8> {
    const KIND: FieldType = FieldType::Bytes;
    type Column = &'a Blob;

    fn open(column: &'a Column) -> Self::Column {
        <&[u8]>::open(column)
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(column.get(i).to_vec())
    }
}

fn integers(column: &Column) -> &[i64] {
    let Values::Integers(values) = &column.values else { wrong_kind() };
    values
}

impl<'a> ReadField<'a> for i64 {
    const KIND: FieldType = FieldType::S64;
    type Column = &'a [i64];

    fn open(column: &'a Column) -> Self::Column {
        integers(column)
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(column[i])
    }
}

macro_rules! narrow_integers {
    ($($integer:ty)*) => {$(
        impl<'a> ReadField<'a> for $integer {
            const KIND: FieldType = FieldType::S64;
            type Column = &'a [i64];

            fn open(column: &'a Column) -> Self::Column {
                integers(column)
            }

            #[inline]
            fn read(column: &Self::Column, i: usize) -> Result<Self> {
                let wide = column[i];
                <$integer>::try_from(wide).map_err(|_| {
                    Error::new(format_args!(
                        "{wide} is outside {} to {}", <$integer>::MIN, <$integer>::MAX
                    ))
                })
            }
        }
    )*};
}
narrow_integers!(i32 i16 i8 u32 u16 u8);

impl<'a> ReadField<'a> for f64 {
    const KIND: FieldType = FieldType::F64;
    type Column = &'a [f64];

    fn open(column: &'a Column) -> Self::Column {
        let Values::Floats(values) = &column.values else { wrong_kind() };
        values
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(column[i])
    }
}

impl<'a> ReadField<'a> for bool {
    const KIND: FieldType = FieldType::Boolean;
    type Column = &'a [u8];

    fn open(column: &'a Column) -> Self::Column {
        let Values::Booleans(values) = &column.values else { wrong_kind() };
        values
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(column[i] != 0)
    }
}

impl<'a, const SCALE: u8> ReadField<'a> for Decimal<SCALE> {
    const KIND: FieldType = FieldType::Decimal(Self::SCALE);
    type Column = &'a [i64];

    fn open(column: &'a Column) -> Self::Column {
        integers(column)
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(Self::from_units(column[i]))
    }
}

impl<'a> ReadField<'a> for RawJson<'a> {
    const KIND: FieldType = FieldType::Json;
    type Column = TextReader<'a>;

    fn open(column: &'a Column) -> Self::Column {
        TextReader::open(column)
    }

    #[inline]
    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(RawJson(column.get(i)))
    }
}

impl<'a, T: serde::Deserialize<'a>> ReadField<'a> for Json<T> {
    const KIND: FieldType = FieldType::Json;
    type Column = TextReader<'a>;

    fn open(column: &'a Column) -> Self::Column {
        TextReader::open(column)
    }

    fn read(column: &Self::Column, i: usize) -> Result<Self> {
        Ok(Json(serde_json::from_str(column.get(i))?))
    }
}

impl<'a, T: ReadField<'a>> ReadField<'a> for Option<T> {
    const KIND: FieldType = T::KIND;
    const OPTIONAL: bool = true;
    type Column = (&'a [u8], T::Column);

    fn open(column: &'a Column) -> Self::Column {
        (&column.present, T::open(column))
    }

    #[inline]
    fn read((present, column): &Self::Column, i: usize) -> Result<Self> {
        if is_present(present, i) { T::read(column, i).map(Some) } else { Ok(None) }
    }
}
