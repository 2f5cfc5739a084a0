//! How an element is written: the time at which it expires if the state's TTL follows event time (8 bytes,
//! little-endian), the schema version (LEB128: one byte up to 127), and the value in postcard.
//!
//! The version stands before every element, since elements of several versions lie side by side: one that an older
//! module wrote is migrated when it is read, and stays as it is until it is written. The time stands first because the
//! contract says so.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{decode, encode_into};
use crate::error::Result;

/// Makes the value out of an element that was written with an older schema version.
pub type Migrate<T> = fn(from: u32, bytes: &[u8]) -> Result<T>;

/// What `#[state(...)]` says of a field's elements.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Name of the state, for messages.
    pub name: &'static str,
    /// Schema version of what is written.
    pub version: u32,
    /// How long elements live by event time, if that is what they expire by.
    pub event_ttl_ms: Option<u64>,
}

impl Layout {
    /// Of a state without attributes.
    pub const PLAIN: Self = Self { name: "", version: 1, event_ttl_ms: None };
}

/// What event time shows while a handler runs, milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Of the record, or the time of the timer: what is written lives from here on.
    pub event_time: i64,
    /// Before the record: what expires at or before it is not seen.
    pub watermark: i64,
}

impl Now {
    /// Before all times.
    const START: Self = Self { event_time: i64::MIN, watermark: i64::MIN };
}

/// The elements of a field: reads and writes them.
pub struct Items<T> {
    layout: Layout,
    migrate: Option<Migrate<T>>,
    now: Now,
}

impl<T> Clone for Items<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Items<T> {}

impl<T> Items<T> {
    pub fn new(layout: Layout) -> Self {
        Self { layout, migrate: None, now: Now::START }
    }

    /// Reads elements of older versions by `migrate`.
    pub fn migrated_by(&mut self, migrate: Migrate<T>) {
        self.migrate = Some(migrate);
    }

    /// The handler that comes runs now.
    #[inline]
    pub fn at(&mut self, now: Now) {
        self.now = now;
    }

    /// Whether elements expire by event time.
    #[inline]
    pub fn expire(&self) -> bool {
        self.layout.event_ttl_ms.is_some()
    }

    /// When an element expires that is written now; no meaning if elements do not.
    #[inline]
    pub fn expiry(&self) -> i64 {
        let ttl_ms = self.layout.event_ttl_ms.unwrap_or_default();
        // A time that saturates is that of the end of the input.
        self.now.event_time.saturating_add_unsigned(ttl_ms)
    }

    /// Whether what expires then is not seen any more.
    #[inline]
    pub fn is_past(&self, expiry: i64) -> bool {
        expiry <= self.now.watermark
    }

    /// An element's expiry, and the rest of it. Panics if the host passed less than the contract says.
    #[inline]
    pub fn split<'b>(&self, element: &'b [u8]) -> (i64, &'b [u8]) {
        if !self.expire() {
            return (i64::MAX, element);
        }
        match element.split_first_chunk() {
            Some((expiry, rest)) => (i64::from_le_bytes(*expiry), rest),
            None => panic!("an element of state `{}` has no time of expiry", self.layout.name),
        }
    }

    /// The rest of an element that has not expired.
    #[inline]
    pub fn live<'b>(&self, element: &'b [u8]) -> Option<&'b [u8]> {
        let (expiry, rest) = self.split(element);
        if self.expire() && self.is_past(expiry) { None } else { Some(rest) }
    }
}

impl<T: Serialize + DeserializeOwned> Items<T> {
    /// Appends an element.
    #[inline]
    pub fn write(&self, expiry: i64, value: &T, buffer: &mut Vec<u8>) {
        if self.expire() {
            buffer.extend_from_slice(&expiry.to_le_bytes());
        }
        let mut version = self.layout.version;
        while version >= 0x80 {
            buffer.push(version as u8 | 0x80);
            version >>= 7;
        }
        buffer.push(version as u8);
        encode_into(value, buffer);
    }

    /// An element that is written now.
    pub fn written(&self, value: &T) -> Vec<u8> {
        let mut element = Vec::new();
        self.write(self.expiry(), value, &mut element);
        element
    }

    /// The value of what [`Self::split`] left. Panics when it was written by a module that is not compatible: to go
    /// on would lose it.
    #[inline]
    pub fn read(&self, rest: &[u8]) -> T {
        match rest.split_first() {
            Some((&version, bytes))
                if version < 0x80 && u32::from(version) == self.layout.version =>
            {
                decode(bytes)
            }
            _ => self.read_other(rest),
        }
    }

    /// As [`Self::read`], of a version that is not the own, or above 127.
    #[cold]
    #[inline(never)]
    fn read_other(&self, rest: &[u8]) -> T {
        let Layout { name, version: own, .. } = self.layout;
        let Some((version, bytes)) = split_version(rest) else {
            panic!("an element of state `{name}` has no schema version");
        };
        if version == own {
            return decode(bytes);
        }
        let Some(migrate) = self.migrate else {
            panic!(
                "an element of state `{name}` is of schema version {version}; this module is of {own} and migrates nothing"
            );
        };
        match migrate(version, bytes) {
            Ok(value) => value,
            Err(error) => {
                panic!(
                    "an element of state `{name}` cannot be migrated from version {version}: {error}"
                )
            }
        }
    }
}

/// Reads a LEB128 number. `None` when it is cut off or too large.
fn split_version(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (mut version, mut rest) = (0u32, bytes);
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        version |= u32::from(byte & 0x7F).checked_mul(1 << shift)?;
        if byte < 0x80 {
            return Some((version, rest));
        }
    }
    None
}

/// A field whose elements can be read in older versions: [`Value`](super::Value), [`List`](super::List) and
/// [`Map`](super::Map).
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `migrate`",
    label = "not `Value<T>`, `List<T>` or `Map<K, V>`",
    note = "windows, joins and patterns lay out what they keep by themselves"
)]
pub trait Migrates: Sized {
    /// What an element holds.
    type Item;
    /// The same field, which reads elements of older versions by `migrate`.
    fn migrated_by(self, migrate: Migrate<Self::Item>) -> Self;
}

/// Reads what an older version of a UDF kept, in [`#[state(migrate = ...)]`](macro@crate::States): the value in the
/// bytes that the function is given, as the type it then had.
///
/// # Errors
/// The bytes are not of that type.
pub fn decode_state<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        crate::error::Error::new(format_args!(
            "{} bytes are not a {}: {error}",
            bytes.len(),
            std::any::type_name::<T>()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(version: u32, event_ttl_ms: Option<u64>) -> Items<String> {
        Items::new(Layout { name: "s", version, event_ttl_ms })
    }

    #[test]
    fn an_element_is_expiry_version_and_value() {
        let value = "v".to_owned();
        assert_eq!(items(1, None).written(&value), [1, 1, b'v']);
        assert_eq!(items(300, None).written(&value), [0xAC, 0x02, 1, b'v']);
        let mut timed = items(2, Some(5));
        timed.at(Now { event_time: 10, watermark: 0 });
        let element = timed.written(&value);
        assert_eq!(element, [&15i64.to_le_bytes()[..], &[2, 1, b'v']].concat());
        assert_eq!(timed.live(&element), Some(&[2, 1, b'v'][..]));
        timed.at(Now { event_time: 10, watermark: 15 });
        assert_eq!(timed.live(&element), None);
        for version in [1, 127, 128, 16_383, 16_384, u32::MAX] {
            let items = items(version, None);
            assert_eq!(items.read(&items.written(&value)), value);
        }
    }

    #[test]
    fn older_elements_are_migrated() {
        let mut new = Items::<String>::new(Layout { name: "s", version: 3, event_ttl_ms: None });
        new.migrated_by(|from, bytes| Ok(format!("{} of {from}", decode_state::<u64>(bytes)?)));
        let old = Items::<u64>::new(Layout { name: "s", version: 2, event_ttl_ms: None });
        assert_eq!(new.read(&old.written(&7)), "7 of 2");
        assert_eq!(new.read(&new.written(&"own".into())), "own");
    }

    #[test]
    #[should_panic(expected = "state `s` cannot be migrated from version 1: 0 bytes are not a u64")]
    fn a_migration_that_fails_says_why() {
        let mut items = items(2, None);
        items.migrated_by(|_, bytes| Ok(decode_state::<u64>(bytes)?.to_string()));
        items.read(&[1]);
    }

    #[test]
    #[should_panic(expected = "is of schema version 1; this module is of 2 and migrates nothing")]
    fn a_version_that_is_not_read_panics() {
        items(2, None).read(&items(1, None).written(&"v".into()));
    }
}
