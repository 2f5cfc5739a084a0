//! Entries as a chain, and its signed head.
//!
//! The hash is SHA-256 over an entry's bytes as they are stored, so that nothing but `sha256sum` is needed to check one by hand.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::access::{PublicKey, SigningKey};

/// SHA-256; zeros stand for the entry before the first one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A stretch of the trail: what its last entry is vouches for all before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the cluster.
    pub cluster: String,
    /// Number of the first entry.
    pub first: u64,
    /// SHA-256 of the entry before that one; zeros if there is none.
    pub before: Digest,
    /// Number of the last entry.
    pub last: u64,
    /// SHA-256 of the last entry.
    pub hash: Digest,
    /// When it was signed, by the node's clock, milliseconds since 1970 UTC.
    pub time_ms: i64,
}

/// A head and who signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What was signed.
    pub head: Head,
    /// The node's public key.
    pub key: PublicKey,
    /// Ed25519 over [`Head::text`], 128 hexadecimal digits.
    pub signature: String,
}

impl Head {
    /// What a signature is over: lines, each with a line end.
    fn text(&self) -> String {
        let Head { cluster, first, before, last, hash, time_ms } = self;
        format!(
            "millstream audit head 1\n{cluster}\n{first}\n{before}\n{last}\n{hash}\n{time_ms}\n"
        )
    }

    /// Signs it.
    pub fn sign(self, key: &SigningKey) -> SignedHead {
        let signature = hex::encode(key.sign(self.text().as_bytes()));
        SignedHead { key: key.public(), signature, head: self }
    }
}

impl SignedHead {
    /// Whether its key signed it.
    pub fn holds(&self) -> bool {
        let Ok(bytes) = hex::decode(&self.signature) else { return false };
        // Written in one way only.
        hex::encode(&bytes) == self.signature
            && self.key.has_signed(self.head.text().as_bytes(), &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_signed_as_a_whole() {
        let head = Head {
            cluster: "c".into(),
            first: 1,
            before: Digest::default(),
            last: 7,
            hash: Digest::of(b"x"),
            time_ms: 9,
        };
        let signed = head.clone().sign(&SigningKey::node([1; 32]));
        assert!(signed.holds());
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedHead>(&json).unwrap(), signed);
        for head in [
            Head { cluster: "d".into(), ..head.clone() },
            Head { first: 2, ..head.clone() },
            Head { before: Digest::of(b""), ..head.clone() },
            Head { last: 8, ..head.clone() },
            Head { hash: Digest::of(b"y"), ..head.clone() },
            Head { time_ms: 8, ..head },
        ] {
            assert!(!SignedHead { head: head.clone(), ..signed.clone() }.holds(), "{head:?}");
        }
        assert!(!SignedHead { key: SigningKey::node([2; 32]).public(), ..signed }.holds());
    }
}
