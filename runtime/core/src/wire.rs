//! Reading and writing the bytes of persisted formats: variable-length integers
//! (LEB128), zigzag for signed ones, byte strings with their length in front.
//!
//! Everything read here may be damaged or hostile: reading never panics, never
//! allocates more than the bytes at hand justify, and says where it stopped.

/// Longest encoding of a `u64`.
pub const VARINT_BYTES_MAX: usize = 10;

/// Why bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside an item.
    #[error("{wanted} more bytes expected at offset {at}, {left} left")]
    Truncated {
        /// Offset of the item.
        at: usize,
        /// Bytes it needs.
        wanted: u64,
        /// Bytes there are.
        left: usize,
    },
    /// An integer with more than 64 bits, or not in its shortest form.
    #[error("malformed integer at offset {at}")]
    Integer {
        /// Offset of the integer.
        at: usize,
    },
    /// An integer above what its field can hold.
    #[error("value {value} at offset {at} is above the limit {limit}")]
    OverLimit {
        /// Offset of the integer.
        at: usize,
        /// What was read.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A tag that no version of the format knows.
    #[error("unknown tag {tag} at offset {at}")]
    Tag {
        /// Offset of the tag.
        at: usize,
        /// What was read.
        tag: u8,
    },
    /// Bytes behind the end.
    #[error("{left} bytes left over at offset {at}")]
    Leftover {
        /// Offset of the first of them.
        at: usize,
        /// How many.
        left: usize,
    },
    /// Text that is not UTF-8.
    #[error("text at offset {at} is not UTF-8")]
    Utf8 {
        /// Offset of the text.
        at: usize,
    },
}

/// Appends an unsigned integer in its shortest form.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer; small magnitudes are short.
#[inline]
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a byte string with its length in front.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads items from the front of a byte string.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, WireError> {
        let byte = *self.bytes.get(self.at).ok_or(WireError::Truncated {
            at: self.at,
            wanted: 1,
            left: 0,
        })?;
        self.at += 1;
        Ok(byte)
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], WireError> {
        let left = self.left();
        if count > left as u64 {
            return Err(WireError::Truncated { at: self.at, wanted: count, left });
        }
        let start = self.at;
        self.at += count as usize;
        Ok(&self.bytes[start..self.at])
    }

    /// The next `N` bytes by value.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// An unsigned integer.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds the last bit; a zero last byte would be a second spelling.
            if (shift == 63 && byte > 1) || (byte == 0 && shift > 0) {
                return Err(WireError::Integer { at: start });
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Integer { at: start })
    }

    /// An unsigned integer of at most `limit`.
    #[inline]
    pub fn varint_max(&mut self, limit: u64) -> Result<u64, WireError> {
        let at = self.at;
        let value = self.varint()?;
        if value > limit {
            return Err(WireError::OverLimit { at, value, limit });
        }
        Ok(value)
    }

    /// A `u16`.
    #[inline]
    pub fn varint_u16(&mut self) -> Result<u16, WireError> {
        Ok(self.varint_max(u64::from(u16::MAX))? as u16)
    }

    /// A `u32`.
    #[inline]
    pub fn varint_u32(&mut self) -> Result<u32, WireError> {
        Ok(self.varint_max(u64::from(u32::MAX))? as u32)
    }

    /// A signed integer.
    #[inline]
    pub fn signed(&mut self) -> Result<i64, WireError> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A byte string with its length in front.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        self.take(length)
    }

    /// Text with its length in front.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let at = self.at;
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8 { at })
    }

    /// A count of items that take at least `bytes_min` bytes each, so that a damaged count cannot
    /// make the caller reserve more than the message is worth.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, WireError> {
        let at = self.at;
        let value = self.varint()?;
        let limit = (self.left() / bytes_min.max(1)) as u64;
        if value > limit {
            return Err(WireError::OverLimit { at, value, limit });
        }
        Ok(value as usize)
    }

    /// Fails when something is left.
    pub fn finish(&self) -> Result<(), WireError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(WireError::Leftover { at: self.at, left: self.left() })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_round_trip(value: u64, signed: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_signed(&mut out, signed);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint().unwrap(), value);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            reader.finish().unwrap();
        }

        #[test]
        fn an_accepted_integer_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint() {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                prop_assert_eq!(&out[..], &bytes[..reader.at()]);
            }
        }
    }

    #[test]
    fn errors_name_offset_and_limit() {
        assert_eq!(Reader::new(&[]).u8(), Err(WireError::Truncated { at: 0, wanted: 1, left: 0 }));
        assert_eq!(
            Reader::new(&[5, 1, 2]).bytes(),
            Err(WireError::Truncated { at: 1, wanted: 5, left: 2 })
        );
        assert_eq!(Reader::new(&[0x80, 0]).varint(), Err(WireError::Integer { at: 0 }));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(WireError::Integer { at: 0 }));
        assert_eq!(
            Reader::new(&[0x80, 0x80, 0x04]).varint_u16(),
            Err(WireError::OverLimit { at: 0, value: 0x1_0000, limit: 0xffff })
        );
        assert_eq!(
            Reader::new(&[9, 0, 0]).count(2),
            Err(WireError::OverLimit { at: 0, value: 9, limit: 1 })
        );
        assert_eq!(Reader::new(&[2, 0xc3, 0x28]).text(), Err(WireError::Utf8 { at: 0 }));
        assert_eq!(Reader::new(&[0]).finish(), Err(WireError::Leftover { at: 0, left: 1 }));
    }
}
