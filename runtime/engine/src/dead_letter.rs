//! Dead letters inside a commit: what happened to which record, with its payload.

use millstream_log::HeaderMap;
use serde::{Deserialize, Serialize};

/// What is known of a dead letter besides its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `failed`, `trapped`, `undecodable` or `oversize`.
    pub kind: String,
    /// Why, in words.
    pub cause: String,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// SHA-256 of the module, hexadecimal.
    pub module: String,
    /// Name of the source in the manifest; of the timer if a timer failed.
    pub source: String,
    /// Sequence in the source's stream; 0 for a timer.
    pub sequence: u64,
    /// Broker's time of the record, nanoseconds since 1970 UTC; 0 for a timer.
    pub time_ns: i64,
    /// The record's subject.
    pub subject: String,
    /// The record's headers, without those of its publication ([`kept_headers`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// The headers that a dead letter keeps: all but those that belong to the publication (`Nats-...`) or that say how an
/// earlier attempt ended. Those that say where a redriven record came from at first stay.
pub fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        let is_publication = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("Nats-"));
        if is_publication
            || ["Millstream-Cause", "Millstream-Attempts", "Millstream-Module"].contains(&name)
        {
            continue;
        }
        let values = values.iter().map(|value| value.as_str().to_owned());
        kept.extend(values.map(|value| (name.to_owned(), value)));
    }
    // A map has no order; what is committed must not depend on it.
    kept.sort();
    kept
}

impl DeadLetter {
    /// Appends the letter and the payload: length of the JSON text (u32, little endian), the text, the payload.
    pub fn write(&self, payload: &[u8], out: &mut Vec<u8>) {
        let text = serde_json::to_vec(self).expect("plain strings and numbers serialise");
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(&text);
        out.extend_from_slice(payload);
    }

    /// Splits what [`DeadLetter::write`] wrote; `None` if it is something else.
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, payload) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some((serde_json::from_slice(text).ok()?, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let letter = DeadLetter {
            kind: "failed".into(),
            cause: "amount is negative".into(),
            attempts: 2,
            module: "ab".into(),
            source: "cards".into(),
            sequence: 7,
            time_ns: 1,
            subject: "cards.eu".into(),
            headers: vec![("Trace".into(), "t1".into())],
        };
        let mut bytes = Vec::new();
        letter.write(b"{\"amount\":-1}", &mut bytes);
        assert_eq!(DeadLetter::read(&bytes), Some((letter, &b"{\"amount\":-1}"[..])));
        assert_eq!(DeadLetter::read(&bytes[..20]), None);
        assert_eq!(DeadLetter::read(b"abc"), None);
    }

    #[test]
    fn the_records_own_headers_are_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Trace", "t1"),
            ("Trace", "t2"),
            ("Nats-Msg-Id", "7"),
            ("nats-expected-stream", "S"),
            ("Millstream-Attempts", "2"),
            ("Millstream-Sequence", "9"),
        ] {
            headers.append(name, value);
        }
        let kept = kept_headers(&headers);
        let expected = [("Millstream-Sequence", "9"), ("Trace", "t1"), ("Trace", "t2")];
        assert_eq!(kept, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
