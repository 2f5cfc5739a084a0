//! JSON of any shape, where columns of plain types do not fit.

use std::ops::{Deref, DerefMut};

/// A JSON value as a serde type: as a field, any part of the document; as the record or the item
/// itself, the whole document. Convenient, and slower than plain columns: the guest parses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// JSON text, neither parsed nor changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawJson<'a>(pub &'a str);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: serde::Serialize> Json<T> {
    /// Appends the JSON text. Panics for a value that JSON cannot hold, such as a map whose keys
    /// are not strings: that is a mistake in the program, not in a record.
    pub(crate) fn write_to(&self, buffer: &mut Vec<u8>) {
        if let Err(error) = serde_json::to_writer(buffer, &self.0) {
            panic!("{} cannot be written as JSON: {error}", std::any::type_name::<T>());
        }
    }
}
