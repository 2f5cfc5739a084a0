//! Building output columns: how each Rust type appends its value to a column.

use crate::decimal::Decimal;
use crate::describe::FieldType;
use crate::frame::{Blob, Column, Presence, Values, push_presence};
use crate::json::{Json, RawJson};

/// A type that a field of an [`Output`](macro@crate::Output) can have: `&str`, `String`, `i64`
/// and smaller integers, `f64` (NaN and infinities become `null`), `bool`,
/// [`Decimal<S>`](crate::Decimal), [`Json<T>`](crate::Json), [`RawJson`](crate::RawJson), and an
/// `Option` of these, which is left out when it is `None`.
#[diagnostic::on_unimplemented(
    message = "an output field cannot have the type `{Self}`",
    label = "not a type of output field",
    note = "use `&'a str`, `String`, `i64` (or a smaller integer), `f64`, `bool`, `Decimal<2>`, `Json<T>` for anything else that serialises, or an `Option` of these"
)]
pub trait AppendField {
    /// What the field holds.
    const KIND: FieldType;
    /// Whether it may be left out.
    const OPTIONAL: bool = false;
    /// The column, being built.
    type Column: Builder;
    /// Appends the value.
    fn append(self, column: &mut Self::Column);
}

/// Bytes reserved per item of a text column.
const TEXT_BYTES: usize = 12;

/// A column being built.
pub trait Builder {
    /// A column with room for so many items.
    fn with_room(items: usize) -> Self;
    /// Appends a zero, `false` or empty item.
    fn append_absent(&mut self);
    /// The column.
    fn finish(self) -> Column;
}

fn all_present(values: Values) -> Column {
    Column { present: Presence::new(), values }
}

impl Builder for Blob {
    fn with_room(items: usize) -> Self {
        Self { ends: Vec::with_capacity(items), data: Vec::with_capacity(items * TEXT_BYTES) }
    }

    #[inline]
    fn append_absent(&mut self) {
        self.push(&[]);
    }

    fn finish(self) -> Column {
        all_present(Values::Blobs(self))
    }
}

impl Builder for Vec<i64> {
    fn with_room(items: usize) -> Self {
        Self::with_capacity(items)
    }

    #[inline]
    fn append_absent(&mut self) {
        self.push(0);
    }

    fn finish(self) -> Column {
        all_present(Values::Integers(self))
    }
}

impl Builder for Vec<f64> {
    fn with_room(items: usize) -> Self {
        Self::with_capacity(items)
    }

    #[inline]
    fn append_absent(&mut self) {
        self.push(0.0);
    }

    fn finish(self) -> Column {
        all_present(Values::Floats(self))
    }
}

/// A column of booleans being built.
pub struct Booleans(Vec<u8>);

impl Builder for Booleans {
    fn with_room(items: usize) -> Self {
        Self(Vec::with_capacity(items))
    }

    #[inline]
    fn append_absent(&mut self) {
        self.0.push(0);
    }

    fn finish(self) -> Column {
        all_present(Values::Booleans(self.0))
    }
}

/// A column with presence bits being built.
pub struct Optional<B> {
    present: Presence,
    count: usize,
    values: B,
}

impl<B: Builder> Builder for Optional<B> {
    fn with_room(items: usize) -> Self {
        Self {
            present: Vec::with_capacity(items.div_ceil(8)),
            count: 0,
            values: B::with_room(items),
        }
    }

    #[inline]
    fn append_absent(&mut self) {
        push_presence(&mut self.present, self.count, false);
        self.count += 1;
        self.values.append_absent();
    }

    fn finish(self) -> Column {
        Column { present: self.present, ..self.values.finish() }
    }
}

impl<T: AppendField> AppendField for Option<T> {
    const KIND: FieldType = T::KIND;
    const OPTIONAL: bool = true;
    type Column = Optional<T::Column>;

    #[inline]
    fn append(self, column: &mut Self::Column) {
        match self {
            Some(value) => {
                push_presence(&mut column.present, column.count, true);
                column.count += 1;
                value.append(&mut column.values);
            }
            None => column.append_absent(),
        }
    }
}

macro_rules! append_as {
    ($($value:ty, $kind:expr, $column:ty, $self:ident, $out:ident => $append:expr;)*) => {$(
        impl AppendField for $value {
            const KIND: FieldType = $kind;
            type Column = $column;

            #[inline]
            fn append($self, $out: &mut Self::Column) {
                $append
            }
        }
    )*};
}

append_as! {
    &str, FieldType::Text, Blob, self, column => column.push(self.as_bytes());
    String, FieldType::Text, Blob, self, column => column.push(self.as_bytes());
    &[u8], FieldType::Bytes, Blob, self, column => column.push(self);
    Vec<u8>, FieldType::Bytes, Blob, self, column => column.push(&self);
    RawJson<'_>, FieldType::Json, Blob, self, column => column.push(self.0.as_bytes());
    i64, FieldType::S64, Vec<i64>, self, column => column.push(self);
    i32, FieldType::S64, Vec<i64>, self, column => column.push(self.into());
    i16, FieldType::S64, Vec<i64>, self, column => column.push(self.into());
    i8, FieldType::S64, Vec<i64>, self, column => column.push(self.into());
    u32, FieldType::S64, Vec<i64>, self, column => column.push(self.into());
    u16, FieldType::S64, Vec<i64>, self, column => column.push(self.into());
    u8, FieldType::S64, Vec<i64>, self, column => column.push(self.into());
    f64, FieldType::F64, Vec<f64>, self, column => column.push(self);
    bool, FieldType::Boolean, Booleans, self, column => column.0.push(self.into());
}

impl<const SCALE: u8> AppendField for Decimal<SCALE> {
    const KIND: FieldType = FieldType::Decimal(Self::SCALE);
    type Column = Vec<i64>;

    #[inline]
    fn append(self, column: &mut Self::Column) {
        column.push(self.units());
    }
}

impl<T: serde::Serialize> AppendField for Json<T> {
    const KIND: FieldType = FieldType::Json;
    type Column = Blob;

    fn append(self, column: &mut Self::Column) {
        self.write_to(&mut column.data);
        column.ends.push(column.data.len() as u32);
    }
}
