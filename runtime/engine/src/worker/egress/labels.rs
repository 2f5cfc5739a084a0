//! Outputs as messages: subject, id, and the headers of dead letters.

use std::fmt::Write as _;

use millstream_core::egress::Publication;
use millstream_core::ids::CommitNumber;
use millstream_core::outputs::DEAD_LETTER;
use millstream_log::egress::{SinkError, SinkMessage};

use super::EgressSpec;
use crate::clock;
use crate::dead_letter::DeadLetter;
use crate::planted::{self, Bug};
use crate::worker::redrive::is_redriven;

/// Makes messages of outputs. What the outputs of a commit have in common is written once.
#[derive(Default)]
pub struct Labels {
    /// The commit that the texts begin for.
    commit: Option<(CommitNumber, u64)>,
    /// Pipeline, stage, partition, number and hash of the commit, place of the output in it.
    id: String,
    /// Its length without the output's place.
    commit_length: usize,
}

impl Labels {
    /// Hands an output to its sink as a message.
    pub fn send(
        &mut self,
        spec: &EgressSpec,
        publication: &Publication,
        send: impl FnOnce(&SinkMessage<'_>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        self.set(spec, publication);
        let keyed = spec
            .subject
            .contains("{key}")
            .then(|| spec.subject.replace("{key}", &token_of(&publication.key)));
        if planted::is(Bug::MessageIdChanges) {
            self.id.push_str(&format!("-{}", clock::now_ms()));
        }
        let message = SinkMessage {
            ticket: publication.ticket,
            subject: keyed.as_deref().unwrap_or(&spec.subject),
            id: &self.id,
            headers: &[],
            payload: &publication.payload,
        };
        if publication.output == DEAD_LETTER
            && let Some((letter, payload)) = DeadLetter::read(&publication.payload)
        {
            let source = spec.streams.iter().find(|(name, _)| *name == letter.source);
            let headers = letter_headers(&letter, source.map_or("", |(_, stream)| stream));
            return send(&SinkMessage { headers: &headers, payload, ..message });
        }
        send(&message)
    }

    fn set(&mut self, spec: &EgressSpec, publication: &Publication) {
        let id = &publication.id;
        let of = Some((id.commit, id.hash));
        if self.commit == of && !planted::is(Bug::MessageIdChanges) {
            self.id.truncate(self.commit_length);
            // A string takes everything.
            let _ = write!(self.id, "{}", id.index);
        } else {
            self.commit = of;
            self.id = format!("{}{id}", spec.stage);
            self.commit_length = self.id.rfind('.').map_or(0, |dot| dot + 1);
        }
    }
}

/// The headers by which `millstream dlq` knows a dead letter, and the record's own. A redriven record brings along where
/// it came from at first.
fn letter_headers(letter: &DeadLetter, stream: &str) -> Vec<(Box<str>, Box<str>)> {
    let header = |name: &str, value: String| (Box::from(name), value.into_boxed_str());
    let mut headers = vec![
        header("Millstream-Cause", escaped(&format!("{}: {}", letter.kind, letter.cause))),
        header("Millstream-Attempts", letter.attempts.to_string()),
        header("Millstream-Module", letter.module.clone()),
    ];
    let place = [
        ("Millstream-Source", stream.to_owned()),
        ("Millstream-Input", letter.source.clone()),
        ("Millstream-Sequence", letter.sequence.to_string()),
        ("Millstream-Subject", letter.subject.replace(char::is_control, "_")),
        ("Millstream-Time", (letter.time_ns / 1_000_000).to_string()),
    ];
    let brought = |name: &str| {
        let kept = letter.headers.iter().filter(|_| is_redriven(&letter.source));
        kept.filter(|(kept, _)| kept == name).map(|(_, first)| first.clone()).next()
    };
    for (name, value) in &place {
        headers.push(header(name, brought(name).unwrap_or_else(|| value.clone())));
    }
    let own =
        letter.headers.iter().filter(|(name, _)| place.iter().all(|(known, _)| known != name));
    headers.extend(own.map(|(name, value)| header(name, value.clone())));
    headers
}

/// A header's value is one line of ASCII: everything else is escaped as in a Rust string.
fn escaped(text: &str) -> String {
    text.escape_default().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

/// A key as one token of a subject: what a token cannot hold becomes `_`.
fn token_of(key: &[u8]) -> String {
    if key.is_empty() {
        return "_".to_owned();
    }
    String::from_utf8_lossy(key)
        .chars()
        .map(|c| {
            if c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>') {
                '_'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_a_redriven_record_says_where_it_came_from_at_first() {
        let kept = [("Millstream-Sequence", "7"), ("Millstream-Source", "ORDERS"), ("Trace", "t1")];
        let mut letter = DeadLetter {
            kind: "failed".into(),
            cause: "no".into(),
            attempts: 2,
            module: "ab".into(),
            source: "redrive:orders".into(),
            sequence: 1,
            time_ns: 5_000_000,
            subject: "millstream.redrive.p.s.orders".into(),
            headers: kept.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        };
        let header = |letter: &DeadLetter, wanted: &str| {
            let headers = letter_headers(letter, "S");
            let found: Vec<_> = headers.iter().filter(|(name, _)| &**name == wanted).collect();
            assert_eq!(found.len(), 1, "{headers:?}");
            found[0].1.to_string()
        };
        for (name, value) in [
            ("Millstream-Source", "ORDERS"),
            ("Millstream-Sequence", "7"),
            ("Millstream-Attempts", "2"),
            ("Trace", "t1"),
        ] {
            assert_eq!(header(&letter, name), value);
        }
        // What a record of the source itself claims about that does not count.
        letter.source = "orders".into();
        assert_eq!(header(&letter, "Millstream-Source"), "S");
        assert_eq!(header(&letter, "Millstream-Sequence"), "1");
    }
}
