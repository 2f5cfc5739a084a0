//! A signed request: five headers beside it, and the text that the signature is over.
//!
//! | header | what |
//! |---|---|
//! | `Millstream-Key` | the public nkey |
//! | `Millstream-Audience` | for whom: the cluster's number, `/`, the number of the answering node's start |
//! | `Millstream-Signed-At` | the client's clock, milliseconds since 1970 UTC |
//! | `Millstream-Nonce` | 32 hexadecimal digits that were never used before |
//! | `Millstream-Signature` | Ed25519, 128 hexadecimal digits, over the text below |
//!
//! The text is these lines, each with a line end: `millstream request 1`, the audience, the operation, the key, the time, the nonce, and the SHA-256 of the request's
//! bytes in hexadecimal.
//!
//! The cluster's number keeps a request of one tenant from being used at another; the node's keeps it from being used
//! again after another node has taken over, which has not seen its nonce.

use std::fmt;

use async_nats::HeaderMap;
use sha2::{Digest, Sha256};

use super::{PublicKey, SigningKey};
use crate::errors;
use crate::problem::Problem;

/// Header of the public key.
pub const KEY_HEADER: &str = "Millstream-Key";
/// Header of the audience.
pub const AUDIENCE_HEADER: &str = "Millstream-Audience";
/// Header of the time.
pub const TIME_HEADER: &str = "Millstream-Signed-At";
/// Header of the nonce.
pub const NONCE_HEADER: &str = "Millstream-Nonce";
/// Header of the signature.
pub const SIGNATURE_HEADER: &str = "Millstream-Signature";

/// First line of what is signed: nothing else that a key signs begins so.
const PURPOSE: &str = "millstream request 1";
/// Digits of a nonce.
const NONCE_DIGITS: usize = 32;

/// For whom a request is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Number of the cluster.
    pub cluster: String,
    /// Number of the answering node's start.
    pub incarnation: String,
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.incarnation)
    }
}

/// A request's signature, read from its headers; not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who signed.
    pub key: PublicKey,
    /// For whom, as it says.
    pub audience: String,
    /// When, by the client's clock, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Never used before.
    pub nonce: String,
    signature: Vec<u8>,
}

fn text(
    audience: &Audience,
    operation: &str,
    key: &PublicKey,
    time_ms: i64,
    nonce: &str,
    payload: &[u8],
) -> String {
    let digest = hex::encode(Sha256::digest(payload));
    format!("{PURPOSE}\n{audience}\n{operation}\n{key}\n{time_ms}\n{nonce}\n{digest}\n")
}

/// The headers of a signed request.
pub fn sign(
    key: &SigningKey,
    audience: &Audience,
    operation: &str,
    payload: &[u8],
    time_ms: i64,
    random: [u8; 16],
) -> HeaderMap {
    let (public, nonce) = (key.public(), hex::encode(random));
    let signature =
        key.sign(text(audience, operation, &public, time_ms, &nonce, payload).as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(KEY_HEADER, public.as_str());
    headers.insert(AUDIENCE_HEADER, audience.to_string());
    headers.insert(TIME_HEADER, time_ms.to_string());
    headers.insert(NONCE_HEADER, nonce);
    headers.insert(SIGNATURE_HEADER, hex::encode(signature));
    headers
}

impl Signed {
    /// Reads the headers; none: the request is not signed.
    ///
    /// # Errors
    /// MS1603 if some are missing or malformed.
    pub fn read(headers: Option<&HeaderMap>) -> Result<Option<Signed>, Problem> {
        let Some(headers) = headers else { return Ok(None) };
        let names = [KEY_HEADER, AUDIENCE_HEADER, TIME_HEADER, NONCE_HEADER, SIGNATURE_HEADER];
        let found = names.map(|name| headers.get(name).map(|value| value.as_str()));
        let [Some(key), Some(audience), Some(time), Some(nonce), Some(signature)] = found else {
            let missing = names.iter().zip(found).find(|(_, found)| found.is_none());
            return match (missing, found.iter().flatten().next()) {
                (Some((name, _)), Some(_)) => Err(invalid(format!("the header {name} is missing"))),
                _ => Ok(None),
            };
        };
        // A header that is there twice means something to others that it does not mean here.
        if let Some(name) = names.iter().find(|name| headers.get_all(**name).count() != 1) {
            return Err(invalid(format!("the header {name} is there several times")));
        }
        let malformed = |name: &str| invalid(format!("the header {name} is malformed"));
        let is_nonce = nonce.len() == NONCE_DIGITS
            && nonce.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !is_nonce {
            return Err(malformed(NONCE_HEADER));
        }
        Ok(Some(Signed {
            key: key.parse().map_err(|_| malformed(KEY_HEADER))?,
            audience: audience.to_owned(),
            time_ms: time.parse().map_err(|_| malformed(TIME_HEADER))?,
            nonce: nonce.to_owned(),
            signature: hex::decode(signature).map_err(|_| malformed(SIGNATURE_HEADER))?,
        }))
    }

    /// Whether the key signed exactly this request for that audience.
    pub fn holds(&self, audience: &Audience, operation: &str, payload: &[u8]) -> bool {
        let text = text(audience, operation, &self.key, self.time_ms, &self.nonce, payload);
        self.key.has_signed(text.as_bytes(), &self.signature)
    }
}

fn invalid(message: String) -> Problem {
    Problem::new(errors::SIGNATURE_INVALID, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience() -> Audience {
        Audience { cluster: "c".repeat(32), incarnation: "1".repeat(32) }
    }

    fn signed() -> HeaderMap {
        let key = SigningKey::user([3; 32]);
        sign(&key, &audience(), "pipeline.apply", b"{}", 1_000, [9; 16])
    }

    #[test]
    fn a_signature_is_over_all_of_it() {
        let read = Signed::read(Some(&signed())).unwrap().unwrap();
        assert!(read.holds(&audience(), "pipeline.apply", b"{}"));
        assert!(!read.holds(&audience(), "pipeline.delete", b"{}"), "the operation");
        assert!(!read.holds(&audience(), "pipeline.apply", b"{ }"), "the body");
        let other = Audience { cluster: "d".repeat(32), ..audience() };
        assert!(!read.holds(&other, "pipeline.apply", b"{}"), "the cluster");
        let other = Audience { incarnation: "2".repeat(32), ..audience() };
        assert!(!read.holds(&other, "pipeline.apply", b"{}"), "the node");
        let other = SigningKey::user([4; 32]).public();
        for changed in [
            Signed { key: other, ..read.clone() },
            Signed { time_ms: 1_001, ..read.clone() },
            Signed { nonce: "0".repeat(32), ..read.clone() },
        ] {
            assert!(!changed.holds(&audience(), "pipeline.apply", b"{}"), "{changed:?}");
        }
    }

    #[test]
    fn every_bit_of_a_signature_counts() {
        let read = Signed::read(Some(&signed())).unwrap().unwrap();
        for bit in 0..read.signature.len() * 8 {
            let mut changed = read.clone();
            changed.signature[bit / 8] ^= 1 << (bit % 8);
            assert!(!changed.holds(&audience(), "pipeline.apply", b"{}"), "bit {bit}");
        }
    }

    #[test]
    fn half_a_signature_is_none() {
        assert_eq!(Signed::read(None).unwrap(), None);
        assert_eq!(Signed::read(Some(&HeaderMap::new())).unwrap(), None);
        for name in [KEY_HEADER, AUDIENCE_HEADER, TIME_HEADER, NONCE_HEADER, SIGNATURE_HEADER] {
            let with = |value: Option<&str>| {
                let mut headers = HeaderMap::new();
                for (known, values) in signed().iter() {
                    let is_it = AsRef::<str>::as_ref(known) == name;
                    match value {
                        _ if !is_it => headers.insert(known.clone(), values[0].clone()),
                        Some(value) => headers.insert(known.clone(), value),
                        None => {}
                    }
                }
                headers
            };
            let missing = Signed::read(Some(&with(None))).unwrap_err();
            assert!(missing.message.contains(name), "{missing}");
            // Any text is an audience, and merely another one.
            if name != AUDIENCE_HEADER {
                let malformed = Signed::read(Some(&with(Some("x")))).unwrap_err();
                assert!(malformed.message.contains(name), "{malformed}");
            }
            let mut twice = signed();
            twice.append(name, "x");
            assert!(Signed::read(Some(&twice)).is_err(), "{name}");
        }
    }
}
