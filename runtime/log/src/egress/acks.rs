//! What the server answers to a publish.

use std::borrow::Cow;

use millstream_core::ids::Sequence;
use serde::Deserialize;

use crate::api::{ServerErrorBody, code};
use crate::line::headers;

/// Error code: a message of the same id is being stored ("duplicate message id is in process").
const DUPLICATE_IN_PROCESS: u64 = 10158;
/// Status: nobody listens on the subject.
const NO_RESPONDERS: u16 = 503;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Stored { sequence: Sequence, duplicate: bool },
    Refused(Refused),
}

/// Why a message was not stored; see [`super::SinkOutcome::Refused`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub passing: bool,
    pub code: u64,
    pub description: String,
}

/// An acknowledgement or an error.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ServerErrorBody>,
}

/// Reads the answers of one stream.
pub(super) struct Answers {
    stream: String,
    /// What the last acknowledgement that was read as JSON had before its sequence: most are the same but for that.
    usual: Vec<u8>,
}

impl Answers {
    pub fn of(stream: &str) -> Answers {
        Answers { stream: stream.to_owned(), usual: Vec::new() }
    }

    /// Reads an answer: its block of headers and its payload.
    pub fn read(&mut self, header_block: &[u8], payload: &[u8]) -> Answer {
        let refused =
            |passing, code, description| Answer::Refused(Refused { passing, code, description });
        if !header_block.is_empty()
            && headers::status(header_block).is_some_and(|(code, _)| code == NO_RESPONDERS)
        {
            let description = "no stream captures the subject, or JetStream is starting".to_owned();
            return refused(true, NO_RESPONDERS.into(), description);
        }
        if let Some(sequence) = self.usual(payload) {
            return Answer::Stored { sequence, duplicate: false };
        }
        let reply: Reply<'_> = match serde_json::from_slice(payload) {
            Ok(reply) => reply,
            Err(error) => return refused(true, 0, format!("unreadable reply: {error}")),
        };
        if let Some(error) = reply.error {
            let passing = code::lacks_leader(error.err_code)
                || matches!(
                    error.err_code,
                    DUPLICATE_IN_PROCESS
                        | code::STORE_FAILED
                        | code::ACCOUNT_RESOURCES
                        | code::INSUFFICIENT_RESOURCES
                );
            return refused(passing, error.err_code, error.description);
        }
        if reply.stream != self.stream {
            return refused(false, 0, format!("stream {} captures the subject", reply.stream));
        }
        if !reply.duplicate {
            self.learn(payload, reply.seq);
        }
        Answer::Stored { sequence: Sequence(reply.seq), duplicate: reply.duplicate }
    }

    /// The sequence, if the payload is what was learned, digits and a closing brace.
    fn usual(&self, payload: &[u8]) -> Option<Sequence> {
        if self.usual.is_empty() {
            return None;
        }
        let digits = payload.strip_prefix(&self.usual[..])?.strip_suffix(b"}")?;
        // More digits may not fit the number; JSON says so.
        if digits.is_empty() || digits.len() > 19 {
            return None;
        }
        let sequence = digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        });
        sequence.map(Sequence)
    }

    #[cold]
    fn learn(&mut self, payload: &[u8], sequence: u64) {
        let before = payload
            .strip_suffix(format!("{sequence}}}").as_bytes())
            .filter(|before| before.trim_ascii_end().ends_with(b"\"seq\":"));
        self.usual = before.unwrap_or_default().to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(sequence: u64, duplicate: bool) -> Answer {
        Answer::Stored { sequence: Sequence(sequence), duplicate }
    }

    #[test]
    fn answers_read_by_what_was_learned_are_those_read_as_json() {
        let payloads: [(&[u8], Answer); 8] = [
            (br#"{"stream":"S", "seq":5}"#, stored(5, false)),
            (br#"{"stream":"S", "seq":56}"#, stored(56, false)),
            (br#"{"stream":"S", "seq":7,"duplicate": true}"#, stored(7, true)),
            (br#"{"stream":"S","seq":18446744073709551615}"#, stored(u64::MAX, false)),
            (br#"{"stream":"S","seq":1844674407370955161}"#, stored(1844674407370955161, false)),
            (br#"{"seq":7,"stream":"S","domain":"7"}"#, stored(7, false)),
            (br#"{"stream":"S","seq":8,"batch":8}"#, stored(8, false)),
            (br#"{"stream":"S", "seq":9}"#, stored(9, false)),
        ];
        let mut answers = Answers::of("S");
        for (payload, expected) in payloads.iter().chain(&payloads) {
            assert_eq!(&answers.read(b"", payload), expected);
        }
    }

    #[test]
    fn anything_else_is_a_refusal() {
        let mut answers = Answers::of("S");
        assert_eq!(answers.read(b"", br#"{"stream":"S","seq":1}"#), stored(1, false));
        let code = |answer| match answer {
            Answer::Refused(refused) => (refused.passing, refused.code),
            stored => panic!("{stored:?}"),
        };
        assert_eq!(code(answers.read(b"NATS/1.0 503\r\n\r\n", b"")), (true, 503));
        assert_eq!(code(answers.read(b"", br#"{"stream":"T","seq":1}"#)), (false, 0));
        assert_eq!(code(answers.read(b"", br#"{"stream":"S","seq":}"#)), (true, 0));
        assert_eq!(code(answers.read(b"", b"")), (true, 0));
        let error = br#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"S","seq":0}"#;
        assert_eq!(code(answers.read(b"", error)), (true, 10077));
    }
}
