//! The hash chain of a source: each record's hash covers its data and the hash of the record before, so that a change, a
//! removal or an insertion anywhere shows (Haber and Stornetta 1991). SHA-256, FIPS 180-4.

use millstream_udf::prelude::*;
use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// What the first record names as the hash of the record before.
pub const GENESIS: Hash = [0; 32];

/// A record's place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Hash of the record.
    pub hash: Hash,
    /// What it says the hash of the record before is.
    pub previous: Hash,
}

/// The hash of a record: of the bytes of the hash before, and of the data's text as it was sent.
pub fn hash(previous: &Hash, data: &str) -> Hash {
    Sha256::new().chain_update(previous).chain_update(data).finalize().into()
}

/// The hash that 64 hexadecimal digits spell.
pub fn from_hex(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = GENESIS;
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's example: SHA-256 of `abc`. Whoever computes a chain by hand starts with 32 zero bytes.
    #[test]
    fn published_hashes() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let plain: Hash = Sha256::digest("abc").into();
        assert_eq!(Some(plain), from_hex(abc));
        let zeros: Hash = Sha256::digest([0; 32]).into();
        assert_eq!(hash(&GENESIS, ""), zeros);
        assert_ne!(hash(&plain, "x"), hash(&GENESIS, "x"));
    }

    #[test]
    fn what_is_no_hash() {
        for text in ["", "ab", &"g".repeat(64), &"+f".repeat(32), &"é".repeat(32)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
        assert_eq!(from_hex(&"00".repeat(32)), Some(GENESIS));
        assert_eq!(from_hex(&"FF".repeat(32)), Some([255; 32]));
    }
}
