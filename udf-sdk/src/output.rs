//! What a UDF emits: `#[derive(Output)]` for the items, [`Emit`] for an output, and
//! `#[derive(Outputs)]` for several named ones.

use crate::append::{AppendField, Builder};
use crate::describe::{self, FieldType, OutputField};
use crate::frame::{Blob, Column, Emitted};
use crate::input::Payload;
use crate::json::Json;

/// The items of an output. Derive it for a struct whose fields are the keys of the JSON object
/// that the host writes, or use [`Json<T>`](crate::Json) for a document of any shape and
/// [`Payload`] for raw bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted",
    label = "not the type of an output's items",
    note = "put `#[derive(Output)]` on it, or emit `Json<{Self}>` (any `Serialize` type) or `Payload<'_>` (raw bytes)"
)]
pub trait Output {
    /// The item with another lifetime, so that an output can take borrowed items of any record.
    type Item<'i>;
    /// The columns, being built.
    type Columns;
    /// The columns that the host will get.
    fn fields() -> Vec<OutputField>;
    /// Empty columns with room for so many items.
    fn columns(items: usize) -> Self::Columns;
    /// Appends an item.
    fn append(item: Self::Item<'_>, columns: &mut Self::Columns);
    /// The columns, in the order of [`Self::fields`].
    fn finish(columns: Self::Columns) -> Vec<Column>;
}

/// An output that takes items of type `T`. In a struct, write a borrowing item's lifetime as
/// `'static` (`score: Emit<Score<'static>>`): it takes items of any lifetime.
pub struct Emit<T: Output> {
    columns: T::Columns,
    causes: Vec<u32>,
    cause: u32,
    /// Records of the call: what room is made for when the first item comes.
    records: usize,
}

impl<T: Output> Emit<T> {
    /// Emits an item, caused by the record or timer at hand. Items of one output keep their order.
    #[inline]
    pub fn emit(&mut self, item: T::Item<'_>) {
        if self.causes.is_empty() {
            self.make_room();
        }
        self.causes.push(self.cause);
        T::append(item, &mut self.columns);
    }

    #[doc(hidden)]
    pub fn declare_as(name: &str) -> describe::Output {
        describe::Output { name: name.into(), fields: T::fields() }
    }

    /// Most outputs take an item per record or hardly any, so room is made for all or none.
    #[cold]
    fn make_room(&mut self) {
        self.causes = Vec::with_capacity(self.records);
        self.columns = T::columns(self.records);
    }

    #[doc(hidden)]
    pub fn for_records(records: usize) -> Self {
        Self { columns: T::columns(0), causes: Vec::new(), cause: 0, records }
    }

    #[doc(hidden)]
    #[inline]
    pub fn select_cause(&mut self, cause: u32) {
        self.cause = cause;
    }

    #[doc(hidden)]
    pub fn into_emitted(self) -> Emitted {
        Emitted { causes: self.causes, columns: T::finish(self.columns) }
    }
}

/// All outputs of a UDF: a struct with a field `name: Emit<T>` per output (derive it), or one
/// [`Emit<T>`] alone, whose name is `output`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the outputs of a UDF",
    label = "named as `outputs`",
    note = "put `#[derive(Outputs)]` on a struct whose fields are `Emit<T>`, or use one `Emit<T>`"
)]
pub trait Outputs: Sized {
    /// Adds the declarations.
    fn declare(outputs: &mut Vec<describe::Output>);
    /// Empty outputs for a call of so many records.
    fn open(records: usize) -> Self;
    /// Makes record or timer `cause` the cause of what follows.
    fn select(&mut self, cause: u32);
    /// What was emitted, in the order of the declarations.
    fn close(self, emitted: &mut Vec<Emitted>);
}

impl<T: Output> Outputs for Emit<T> {
    fn declare(outputs: &mut Vec<describe::Output>) {
        outputs.push(Self::declare_as("output"));
    }

    fn open(records: usize) -> Self {
        Self::for_records(records)
    }

    #[inline]
    fn select(&mut self, cause: u32) {
        self.select_cause(cause);
    }

    fn close(self, emitted: &mut Vec<Emitted>) {
        emitted.push(self.into_emitted());
    }
}

/// The outputs of a UDF that has none.
impl Outputs for () {
    fn declare(_: &mut Vec<describe::Output>) {}

    fn open(_: usize) -> Self {}

    #[inline]
    fn select(&mut self, _: u32) {}

    fn close(self, _: &mut Vec<Emitted>) {}
}

fn raw() -> Vec<OutputField> {
    vec![OutputField { name: "payload".into(), kind: FieldType::Bytes, optional: false }]
}

impl Output for Payload<'_> {
    type Item<'i> = Payload<'i>;
    type Columns = Blob;

    fn fields() -> Vec<OutputField> {
        raw()
    }

    fn columns(items: usize) -> Blob {
        Blob::with_room(items)
    }

    #[inline]
    fn append(item: Payload<'_>, columns: &mut Blob) {
        item.0.append(columns);
    }

    fn finish(columns: Blob) -> Vec<Column> {
        vec![columns.finish()]
    }
}

impl<T: serde::Serialize> Output for Json<T> {
    type Item<'i> = Json<T>;
    type Columns = Blob;

    fn fields() -> Vec<OutputField> {
        raw()
    }

    fn columns(items: usize) -> Blob {
        Blob::with_room(items)
    }

    fn append(item: Json<T>, columns: &mut Blob) {
        item.append(columns);
    }

    fn finish(columns: Blob) -> Vec<Column> {
        vec![columns.finish()]
    }
}
