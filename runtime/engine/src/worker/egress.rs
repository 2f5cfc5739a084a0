//! Publishes one partition's outputs into one sink: `millstream_core::egress` decides,
//! this sends and tells the partition how far the sink is.

mod labels;
mod transactional;

use std::time::Duration;

use millstream_core::egress::{Egress, EgressConfig, MessageId};
use millstream_core::ids::{CommitNumber, Incarnation, LogPoint, Sequence};
use millstream_core::outputs::Outputs;
use millstream_core::partition::{EgressReport, Event};
use millstream_core::slice::{EgressCursor, OutputPoint};
use millstream_log::connect::Connection;
use millstream_log::egress::{
    CreatedStream, JetStreamSink, JetStreamSinkReader, Sink, SinkError, SinkIds, SinkOutcome,
    SinkReader, SinkWindow,
};
use tokio::sync::mpsc;

use self::labels::Labels;
use crate::clock;
use crate::crash::{self, Step};
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
    /// If the sink is transactional.
    pub transactional: Option<Transactional>,
}

/// What a transactional sink needs besides.
#[derive(Clone)]
pub struct Transactional {
    /// Its stream.
    pub stream: CreatedStream,
    /// Subject of the partition's cursor records.
    pub cursor: String,
    /// Which life of the pipeline.
    pub pipeline: Incarnation,
}

/// Runs until the channel of offers closes or the receiver of reports is gone.
pub async fn run(
    spec: EgressSpec,
    start: EgressStart,
    mut offers: mpsc::UnboundedReceiver<Offer>,
    reports: mpsc::UnboundedSender<Event>,
) {
    if let Some(transactional) = &spec.transactional {
        return transactional::run(&spec, transactional, start, offers, reports).await;
    }
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
    reports: &mpsc::UnboundedSender<Event>,
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
            if let Err(error) = labels.send(spec, publication, |message| sink.send(message)) {
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
            if reports.send(Event::Egress(report)).is_err() {
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
                        let _ = reports.send(Event::Egress(EgressReport { cursor, published: true }));
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
