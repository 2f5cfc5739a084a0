//! Publishes one partition's outputs into one transactional sink, one batch after the other.

use std::time::Duration;

use millstream_core::egress::{Batch, RecordRead, TransactionalConfig, TransactionalEgress};
use millstream_core::incident::Incident;
use millstream_core::partition::Event;
use millstream_log::egress::{
    BATCH_OUTPUTS_MAX, BatchOutcome, JetStreamTransactionalSink, SinkError, TransactionalSink,
};
use tokio::sync::mpsc;

use super::labels::Labels;
use super::{AGAIN_AFTER, EgressSpec, EgressStart, Offer, Transactional};
use crate::clock;
use crate::crash::{self, Step};
use crate::planted::{self, Bug};
use crate::worker::broken;

/// Bytes of keys and payloads in a batch, at most: the server holds a batch until it is complete.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Wait before a batch that somebody else was faster than is made anew, after the first time in a row.
const NOT_LAST_AFTER: Duration = Duration::from_millis(10);

/// Why an egress goes no further for now.
enum Interrupted {
    /// The sink failed: all begins anew.
    Sink(SinkError),
    /// The sink contradicts the log, or nobody listens any more: nothing more is published.
    Ended,
}

impl From<SinkError> for Interrupted {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// Runs until the channel of offers closes or the receiver of reports is gone.
pub async fn run(
    spec: &EgressSpec,
    transactional: &Transactional,
    start: EgressStart,
    offers: mpsc::UnboundedReceiver<Offer>,
    reports: mpsc::UnboundedSender<Event>,
) {
    let config = TransactionalConfig {
        pipeline: transactional.pipeline,
        partition: spec.config.partition,
        outputs: spec.config.outputs.clone(),
        batch_outputs_max: BATCH_OUTPUTS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
    };
    let EgressStart { cursor, takeover, confirmed_at_ms } = start;
    let egress = TransactionalEgress::new(config, cursor, takeover, confirmed_at_ms);
    let labels = Labels::default();
    let mut publisher = Publisher { spec, egress, offers, reports, labels, not_last: 0 };
    loop {
        match publisher.serve(transactional).await {
            Err(Interrupted::Sink(error)) => {
                tracing::warn!(subject = %spec.subject, %error, "sink failed; trying again");
                publisher.egress.failed();
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            Err(Interrupted::Ended) | Ok(()) => return,
        }
    }
}

struct Publisher<'a> {
    spec: &'a EgressSpec,
    egress: TransactionalEgress,
    offers: mpsc::UnboundedReceiver<Offer>,
    reports: mpsc::UnboundedSender<Event>,
    labels: Labels,
    /// Refusals in a row because of another record.
    not_last: u32,
}

impl Publisher<'_> {
    async fn serve(&mut self, transactional: &Transactional) -> Result<(), Interrupted> {
        let mut sink = JetStreamTransactionalSink::open(
            &self.spec.connection,
            &transactional.stream,
            transactional.cursor.clone(),
        )
        .await?;
        let mut told = self.egress.cursor();
        loop {
            if self.egress.wants_record() {
                self.read_record(&mut sink).await?;
            }
            // All that has arrived goes in the same batch.
            while let Ok(offer) = self.offers.try_recv() {
                self.offered(offer)?;
            }
            if let Some(batch) = self.egress.next_batch() {
                self.publish(&mut sink, &batch).await?;
            }
            let report = self.egress.report();
            if report.cursor != told || report.published {
                told = report.cursor;
                self.tell(Event::Egress(report))?;
            }
            if self.egress.wants_record() || self.egress.has_batch() {
                continue;
            }
            match self.offers.recv().await {
                Some(offer) => self.offered(offer)?,
                None => return Ok(()),
            }
        }
    }

    async fn read_record(&mut self, sink: &mut dyn TransactionalSink) -> Result<(), Interrupted> {
        let asked_at_ms = clock::now_ms();
        let mut found = sink.last_cursor().await?;
        if planted::is(Bug::CursorRecordIgnored) {
            found = found.map(|(sequence, bytes)| (sequence, broken::of_another_life(&bytes)));
        }
        let record = found.as_ref().map(|(sequence, bytes)| (*sequence, &bytes[..]));
        let read = self.egress.record_was_read(record, asked_at_ms);
        let subject = &self.spec.subject;
        match self.borne_out(read)? {
            RecordRead::Current => {}
            RecordRead::Missing => {
                tracing::error!(%subject, "cursor record was removed from the sink's stream; what was published since the log's cursor may be published again");
            }
            RecordRead::Stale => {
                tracing::warn!(%subject, "an old cursor record was read; trying again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        Ok(())
    }

    fn offered(&mut self, offer: Offer) -> Result<(), Interrupted> {
        let offered = self.egress.offer(offer.point, offer.outputs, offer.confirmed_at_ms);
        self.borne_out(offered)
    }

    /// Passes an incident on: the partition finds out whether it still is its own.
    fn borne_out<T>(&self, result: Result<T, Incident>) -> Result<T, Interrupted> {
        result.map_err(|incident| {
            tracing::warn!(subject = %self.spec.subject, %incident, "sink contradicts the log");
            let _ = self.reports.send(Event::Incident(incident));
            Interrupted::Ended
        })
    }

    fn tell(&self, event: Event) -> Result<(), Interrupted> {
        self.reports.send(event).map_err(|_| Interrupted::Ended)
    }

    async fn publish(
        &mut self,
        sink: &mut dyn TransactionalSink,
        batch: &Batch,
    ) -> Result<(), Interrupted> {
        sink.begin().await?;
        for publication in &batch.outputs {
            self.labels.send(self.spec, publication, |message| sink.add(message))?;
        }
        crash::before(Step::PublishOutput);
        let outcome = sink.commit(&batch.cursor.encode(), batch.expected).await;
        if let BatchOutcome::Stored { sequence } = outcome {
            crash::after(Step::PublishOutput);
            self.egress.acknowledged(sequence);
            self.not_last = 0;
            return Ok(());
        }
        self.egress.failed();
        let subject = &self.spec.subject;
        match outcome {
            BatchOutcome::NotLast => {
                self.not_last += 1;
                if self.not_last > 1 {
                    tokio::time::sleep(NOT_LAST_AFTER).await;
                }
                return Ok(());
            }
            BatchOutcome::Refused { passing: false, code, description } => {
                tracing::error!(%subject, code, %description, "sink refuses outputs; the partition waits");
            }
            BatchOutcome::Refused { code, description, .. } => {
                tracing::warn!(%subject, code, %description, "outputs were not taken; trying again");
            }
            BatchOutcome::Unknown | BatchOutcome::Stored { .. } => {
                tracing::warn!(%subject, "nobody knows whether outputs were taken; looking");
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        Ok(())
    }
}
