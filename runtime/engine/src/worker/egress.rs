//! Publishes one partition's outputs into one sink: `millstream_core::egress` decides,
//! this sends and tells the partition how far the sink is.

use std::fmt::Write as _;
use std::time::Duration;

use millstream_core::egress::{Egress, EgressConfig, MessageId, Publication};
use millstream_core::ids::{CommitNumber, LogPoint, Sequence};
use millstream_core::outputs::{DEAD_LETTER, Outputs};
use millstream_core::partition::EgressReport;
use millstream_core::slice::{EgressCursor, OutputPoint};
use millstream_log::connect::Connection;
use millstream_log::egress::{
    JetStreamSink, JetStreamSinkReader, Sink, SinkError, SinkIds, SinkMessage, SinkOutcome,
    SinkReader, SinkWindow,
};
use tokio::sync::mpsc;

use super::redrive::is_redriven;
use crate::clock;
use crate::crash::{self, Step};
use crate::dead_letter::DeadLetter;
use crate::planted::{self, Bug};

/// Wait before a sink that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A commit whose outputs are to be published.
pub struct Offer {
    pub point: LogPoint,
    pub outputs: Outputs,
    pub confirmed_at_ms: i64,
}

/// Where an egress begins.
pub struct EgressStart {
    pub cursor: EgressCursor,
    /// Number of the takeover.
    pub takeover: CommitNumber,
    pub confirmed_at_ms: i64,
}

/// By how long the cursor of [`Bug::CursorAhead`] is ahead.
const AHEAD: Duration = Duration::from_millis(50);

/// What one egress is for.
#[derive(Clone)]
pub struct EgressSpec {
    pub connection: Connection,
    pub config: EgressConfig,
    /// The stream that captures the subject.
    pub stream: String,
    /// Subject of the sink; `{key}` stands for the record's key.
    pub subject: String,
    /// Stream of each source, by its name in the manifest, for dead letters.
    pub streams: Vec<(String, String)>,
    /// What the ids of messages begin with: pipeline and stage, each with a dot behind it.
    pub stage: String,
}

/// Runs until the channel of offers closes or the receiver of reports is gone.
pub async fn run(
    spec: EgressSpec,
    start: EgressStart,
    mut offers: mpsc::UnboundedReceiver<Offer>,
    reports: mpsc::UnboundedSender<EgressReport>,
) {
    let mut egress =
        Egress::new(spec.config.clone(), start.cursor, start.takeover, start.confirmed_at_ms);
    loop {
        match serve(&spec, &mut egress, &mut offers, &reports).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(subject = %spec.subject, %error, "sink failed; trying again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

async fn serve(
    spec: &EgressSpec,
    egress: &mut Egress,
    offers: &mut mpsc::UnboundedReceiver<Offer>,
    reports: &mpsc::UnboundedSender<EgressReport>,
) -> Result<(), SinkError> {
    let mut sink =
        JetStreamSink::open(&spec.connection, &spec.stream, SinkWindow::default()).await?;
    let reader = JetStreamSinkReader::new(&spec.connection, &spec.stream, Vec::new());
    let mut told = egress.cursor();
    let mut acks = Vec::new();
    let mut labels = Labels::default();
    loop {
        if let Some(after) = egress.wants_sink_read(clock::now_ms()) {
            let held = read_sink(spec, &reader, after).await;
            for (sequence, id) in held.ids {
                let id = str::from_utf8(&id).ok().and_then(|id| id.strip_prefix(&spec.stage));
                if let Some(id) = id.and_then(|id| id.parse::<MessageId>().ok()) {
                    egress.found(&id, sequence);
                }
            }
            egress.sink_was_read();
        }
        if !egress.is_settled()
            && let Err(error) = sink.ready().await
        {
            tracing::warn!(subject = %spec.subject, %error, "sink cannot be reached; trying again");
            tokio::time::sleep(AGAIN_AFTER).await;
            continue;
        }
        while sink.has_room()
            && let Some(publication) = egress.next(clock::now_ms())
        {
            let ticket = publication.ticket;
            crash::before(Step::PublishOutput);
            if let Err(error) = labels.send(spec, publication, &mut sink) {
                // It was not taken; whatever is in flight comes back as failed with the next connection.
                egress.failed(ticket);
                tracing::warn!(subject = %spec.subject, %error, "output could not be sent");
                tokio::time::sleep(AGAIN_AFTER).await;
                break;
            }
        }
        let report = egress.report();
        if report.cursor != told || report.published {
            told = report.cursor;
            if reports.send(report).is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            () = sink.acknowledged(&mut acks), if sink.in_flight() > 0 => {
                let mut refused = None;
                for ack in acks.drain(..) {
                    match ack.outcome {
                        SinkOutcome::Stored { sequence, .. } => {
                            crash::after(Step::PublishOutput);
                            egress.acknowledged(ack.ticket, sequence);
                        }
                        SinkOutcome::Unknown => egress.failed(ack.ticket),
                        SinkOutcome::Refused { passing, code, description } => {
                            egress.failed(ack.ticket);
                            if !passing {
                                refused = Some((code, description));
                            }
                        }
                    }
                }
                if let Some((code, description)) = refused {
                    tracing::error!(subject = %spec.subject, code, %description, "sink refuses an output; the partition waits");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
            offer = offers.recv() => match offer {
                Some(offer) => {
                    if planted::is(Bug::CursorAhead) {
                        let cursor = ahead(egress.cursor(), &offer);
                        let _ = reports.send(EgressReport { cursor, published: true });
                        tokio::time::sleep(AHEAD).await;
                    }
                    egress.offer(offer.point, offer.outputs, offer.confirmed_at_ms);
                }
                None => return Ok(()),
            },
            // A sink read that has become due is not announced by anything else.
            () = tokio::time::sleep(AGAIN_AFTER), if !egress.is_settled() => {}
        }
    }
}

/// The cursor as [`Bug::CursorAhead`] has it: behind a commit that is only about to be published.
fn ahead(cursor: EgressCursor, offer: &Offer) -> EgressCursor {
    EgressCursor {
        through: OutputPoint { commit: offer.point.number, count: u32::MAX },
        read_from: Sequence(offer.point.sequence.0 + 1),
        ..cursor
    }
}

/// What the sink holds behind `after`. Asks until there is an answer: without one nothing may be published.
async fn read_sink(spec: &EgressSpec, reader: &JetStreamSinkReader, after: Sequence) -> SinkIds {
    loop {
        match reader.ids_after(after).await {
            Ok(held) => {
                if let Some((from, through)) = held.gap {
                    tracing::error!(subject = %spec.subject, from = from.0, through = through.0, "sink dropped records behind the cursor; outputs among them may be published again");
                }
                return held;
            }
            Err(error) => {
                tracing::warn!(subject = %spec.subject, %error, "sink cannot be read; trying again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Makes messages of outputs. What the outputs of a commit have in common is written once.
#[derive(Default)]
struct Labels {
    /// The commit that the texts begin for.
    commit: Option<(CommitNumber, u64)>,
    /// `Nats-Msg-Id`: pipeline, stage, partition, number and hash of the commit, place of the output in it.
    id: String,
    /// Its length without the output's place.
    commit_length: usize,
}

impl Labels {
    /// Sends an output into its sink.
    fn send(
        &mut self,
        spec: &EgressSpec,
        publication: &Publication,
        sink: &mut JetStreamSink,
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
            return sink.send(&SinkMessage { headers: &headers, payload, ..message });
        }
        sink.send(&message)
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
