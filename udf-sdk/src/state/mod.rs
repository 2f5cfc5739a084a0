//! Keyed state: what `#[derive(States)]` implements, and the kinds of state.
//!
//! A handler gets the states of the key of its record. [`Value`]s come along with the batch;
//! [`List`]s and [`Map`]s are read and written on demand, element by element.

mod broadcast;
mod items;
mod key;
mod list;
mod map;
mod value;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::broadcast::{BroadcastMap, BroadcastValue};
pub use self::items::{Layout, Migrates, Now, decode_state};
pub use self::key::MapKey;
pub use self::list::List;
pub use self::map::Map;
pub use self::value::Value;

use crate::describe::{self, StateKind};
use crate::frame::{Stored, Written};

/// The states of a UDF: a struct whose fields are [`Value`], [`List`] and [`Map`], or all of them broadcast (derive it).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the state of a UDF",
    label = "named as `state`",
    note = "put `#[derive(States)]` on a struct whose fields are `Value<T>`, `List<T>` and `Map<K, V>`"
)]
pub trait States: Sized {
    /// Number of fields that fire: each needs a handler of its own.
    const FIRING: usize;
    /// Whether all of them belong to a key.
    const KEYED: bool;
    /// Whether all of them belong to the partition.
    const BROADCAST: bool;
    /// Adds the declarations.
    fn declare(states: &mut Vec<describe::State>);
    /// Whether a field's elements expire by event time, so that the times of each handler matter.
    const TIMED: bool = false;
    /// Opens the states for a call.
    fn open(opening: &mut Opening) -> Self;
    /// Makes `key` the key that the states belong to.
    fn select(&mut self, key: u32);
    /// The handler that comes runs at these times. Matters if [`Self::TIMED`] says so.
    #[inline]
    fn at(&mut self, _: Now) {}
    /// What was written, one per [`Value`] in the order of declaration.
    fn close(self, written: &mut Vec<Written>);
}

/// The states of a UDF that has none.
impl States for () {
    const FIRING: usize = 0;
    const KEYED: bool = true;
    const BROADCAST: bool = true;

    fn declare(_: &mut Vec<describe::State>) {}

    fn open(_: &mut Opening) -> Self {}

    #[inline]
    fn select(&mut self, _: u32) {}

    fn close(self, _: &mut Vec<Written>) {}
}

/// One field of a [`States`] struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a kind of state",
    label = "not a kind of state",
    note = "use `Value<T>`, `List<T>`, `Map<K, V>`, `Windows<A>` or a join, and for broadcast state `BroadcastValue<T>` or `BroadcastMap<K, V>`; a plain field would be lost between batches"
)]
pub trait StateField: Sized {
    /// Its kind; of a field that is kept in several states, that of the first.
    const KIND: StateKind;
    /// 1 if it implements [`Fires`](crate::fires::Fires).
    const FIRING: usize = 0;
    /// Whether it belongs to the partition instead of to a key.
    const BROADCAST: bool = false;
    /// Adds the declarations of the states that it is kept in. The first is `named`.
    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        states.push(named);
    }
    /// Opens the state.
    fn open(opening: &mut Opening) -> Self;
    /// Makes `key` the key that the state belongs to.
    fn select(&mut self, key: u32);
    /// The handler that comes runs at these times. Matters to elements that expire by event time.
    #[inline]
    fn set_now(&mut self, _: Now) {}
    /// Adds what was written, if the state is a [`Value`].
    fn close(self, written: &mut Vec<Written>);
}

/// The states of a call, handed out in the order of their declaration.
pub struct Opening {
    index: u32,
    keys: usize,
    /// Of the field that is opened next.
    layout: Layout,
    values: std::vec::IntoIter<Stored>,
    epoch: Option<u64>,
}

impl Opening {
    #[doc(hidden)]
    pub fn new(keys: usize, values: Vec<Stored>) -> Self {
        Self { index: 0, keys, layout: Layout::PLAIN, values: values.into_iter(), epoch: None }
    }

    /// The same in a call that reads broadcast states only: what was read of them in this epoch is good.
    #[doc(hidden)]
    pub fn reading(self, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// The epoch of broadcast states, if they are only read.
    fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// What the host passed of the next `value` state.
    fn next_value(&mut self) -> Stored {
        match self.values.next() {
            Some(stored) => stored,
            None => panic!("the host passed fewer states than were declared"),
        }
    }

    /// The states that are opened from here on, up to the next call of this, are laid out so.
    #[doc(hidden)]
    pub fn lay_out(&mut self, layout: Layout) -> &mut Self {
        self.layout = layout;
        self
    }

    /// Index of the next state.
    fn next_index(&mut self) -> u32 {
        let index = self.index;
        self.index += 1;
        index
    }
}

/// Appends the bytes of a value to a buffer. Panics for what postcard cannot hold, such as a
/// sequence of unknown length: that is a mistake in the program.
fn encode_into<T: Serialize>(value: &T, buffer: &mut Vec<u8>) {
    /// Postcard's own flavors own the buffer or extend it byte by byte.
    struct Append<'b>(&'b mut Vec<u8>);

    impl postcard::ser_flavors::Flavor for Append<'_> {
        type Output = ();

        #[inline]
        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }

        #[inline]
        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }

    if let Err(error) = postcard::serialize_with_flavor(value, Append(buffer)) {
        panic!("{} cannot be kept as state: {error}", std::any::type_name::<T>());
    }
}

/// The bytes of a value.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// How many bytes a value is. Panics as [`encode_into`] does.
pub(crate) fn encoded_len<T: Serialize>(value: &T) -> usize {
    match postcard::serialize_with_flavor(value, postcard::ser_flavors::Size::default()) {
        Ok(bytes) => bytes,
        Err(error) => {
            panic!("{} cannot be kept as state: {error}", std::any::type_name::<T>())
        }
    }
}

/// The value in these bytes. Panics when they are of another type: the state was written by a
/// version of the UDF that is not compatible, and to go on would lose it.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    match postcard::from_bytes(bytes) {
        Ok(value) => value,
        Err(error) => incompatible::<T>(bytes.len(), error),
    }
}

#[cold]
#[inline(never)]
fn incompatible<T>(length: usize, error: postcard::Error) -> ! {
    panic!(
        "the stored state of {length} bytes is not a {}: {error}; was its type changed without a migration?",
        std::any::type_name::<T>()
    )
}
