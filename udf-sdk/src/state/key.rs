//! Entry keys of maps: encodings whose byte order is the order of the values.

/// A key of a [`Map`](super::Map)'s entries. The order of the encoded bytes is the order of the values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map's entries",
    label = "not a type of entry key",
    note = "use `String`, `Vec<u8>`, an integer, or a pair of integers"
)]
pub trait MapKey: Sized {
    /// What is looked up: `str` for `String`, the type itself for numbers.
    type Borrowed: ?Sized;
    /// The bytes.
    fn encode(entry: &Self::Borrowed) -> Vec<u8>;
    /// The value in these bytes. Panics when they are of another type.
    fn decode(bytes: &[u8]) -> Self;
}

#[cold]
#[inline(never)]
fn incompatible<T>(bytes: &[u8]) -> ! {
    panic!(
        "a stored entry key of {} bytes is not a {}; was its type changed?",
        bytes.len(),
        std::any::type_name::<T>()
    )
}

impl MapKey for String {
    type Borrowed = str;

    fn encode(entry: &str) -> Vec<u8> {
        entry.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => incompatible::<Self>(bytes),
        }
    }
}

impl MapKey for Vec<u8> {
    type Borrowed = [u8];

    fn encode(entry: &[u8]) -> Vec<u8> {
        entry.to_vec()
    }

    fn decode(bytes: &[u8]) -> Self {
        bytes.to_vec()
    }
}

macro_rules! integer_keys {
    ($($integer:ty, $unsigned:ty, $flip:expr;)*) => {$(
        impl MapKey for $integer {
            type Borrowed = $integer;

            fn encode(entry: &$integer) -> Vec<u8> {
                // Big-endian; for signed ones with the sign bit flipped, so that negatives come first.
                (*entry as $unsigned ^ $flip).to_be_bytes().to_vec()
            }

            fn decode(bytes: &[u8]) -> Self {
                match bytes.try_into() {
                    Ok(array) => (<$unsigned>::from_be_bytes(array) ^ $flip) as $integer,
                    Err(_) => incompatible::<Self>(bytes),
                }
            }
        }

        impl<K: MapKey<Borrowed: Sized>> MapKey for ($integer, K) {
            type Borrowed = ($integer, K::Borrowed);

            fn encode(entry: &Self::Borrowed) -> Vec<u8> {
                let mut bytes = <$integer>::encode(&entry.0);
                bytes.extend(K::encode(&entry.1));
                bytes
            }

            fn decode(bytes: &[u8]) -> Self {
                match bytes.split_at_checked(size_of::<$integer>()) {
                    Some((first, rest)) => (<$integer>::decode(first), K::decode(rest)),
                    None => incompatible::<Self>(bytes),
                }
            }
        }
    )*};
}

integer_keys! {
    u64, u64, 0;
    u32, u32, 0;
    u16, u16, 0;
    u8, u8, 0;
    i64, u64, 1 << 63;
    i32, u32, 1 << 31;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_values(a: (i64, u32), b: (i64, u32)) {
            let (x, y) = (<(i64, u32)>::encode(&a), <(i64, u32)>::encode(&b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(<(i64, u32)>::decode(&x), a);
        }
    }

    #[test]
    #[should_panic(expected = "is not a u32")]
    fn a_key_of_another_type_panics() {
        u32::decode(b"abc");
    }
}
