//! What the partition knows of its sinks: how far they are, whether the log says
//! so, and how much they lack.

use std::collections::VecDeque;

use super::{EgressReport, SinkConfig};
use crate::ids::{LogPoint, Sequence};
use crate::slice::{EgressCursor, OutputPoint};

/// The share of a duplicate window after which the log must know a cursor, and the owner that it still is one.
pub const WINDOW_SHARE: i64 = 4;

#[derive(Debug)]
struct Sink {
    config: SinkConfig,
    cursor: EgressCursor,
    /// Since when it has outputs of which the log does not know.
    unrecorded_since_ms: Option<i64>,
}

/// A commit whose outputs some sink lacks.
#[derive(Debug)]
struct Lacking {
    end: OutputPoint,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Cursors {
    sinks: Vec<Sink>,
    lacking: VecDeque<Lacking>,
    backlog_bytes: usize,
}

impl Cursors {
    pub(super) fn new(sinks: &[SinkConfig]) -> Self {
        let sinks = sinks
            .iter()
            .map(|&config| Sink {
                config,
                cursor: EgressCursor {
                    sink: config.sink,
                    through: OutputPoint::default(),
                    read_from: Sequence(0),
                    sink_sequence: config.sequence_at_start,
                },
                unrecorded_since_ms: None,
            })
            .collect();
        Self { sinks, lacking: VecDeque::new(), backlog_bytes: 0 }
    }

    /// Goes on from the cursors of the last record. A sink without one is new: it gets what comes
    /// behind that record.
    pub(super) fn adopt(&mut self, recorded: &[EgressCursor], tail: LogPoint) {
        for sink in &mut self.sinks {
            sink.cursor = match recorded.iter().find(|cursor| cursor.sink == sink.config.sink) {
                Some(&cursor) => cursor,
                None => EgressCursor {
                    sink: sink.config.sink,
                    through: OutputPoint { commit: tail.number, count: u32::MAX },
                    read_from: Sequence(tail.sequence.0 + 1),
                    sink_sequence: sink.config.sequence_at_start,
                },
            };
        }
    }

    pub(super) fn current(&self) -> Vec<EgressCursor> {
        self.sinks.iter().map(|sink| sink.cursor).collect()
    }

    /// The oldest output point that some sink has reached.
    pub(super) fn oldest(&self) -> Option<OutputPoint> {
        self.sinks.iter().map(|sink| sink.cursor.through).min()
    }

    /// A commit's outputs were handed out.
    pub(super) fn handed_out(&mut self, end: OutputPoint, bytes: usize) {
        // Records are read twice when recovery has to begin again.
        let known = self.lacking.back().is_some_and(|last| last.end >= end);
        if end.count > 0 && !known && self.oldest().is_some_and(|oldest| oldest < end) {
            self.backlog_bytes += bytes;
            self.lacking.push_back(Lacking { end, bytes });
        }
    }

    pub(super) fn report(&mut self, now_ms: i64, report: EgressReport) {
        let Some(sink) = self.sinks.iter_mut().find(|sink| sink.config.sink == report.cursor.sink)
        else {
            return;
        };
        sink.cursor = report.cursor;
        if report.published {
            sink.unrecorded_since_ms.get_or_insert(now_ms);
        }
        let oldest = self.oldest().unwrap_or_default();
        while let Some(lacking) = self.lacking.pop_front_if(|lacking| lacking.end <= oldest) {
            self.backlog_bytes -= lacking.bytes;
        }
    }

    /// The current cursors are in a record on its way to the log.
    pub(super) fn recorded(&mut self) {
        self.sinks.iter_mut().for_each(|sink| sink.unrecorded_since_ms = None);
    }

    pub(super) fn is_unrecorded(&self) -> bool {
        self.sinks.iter().any(|sink| sink.unrecorded_since_ms.is_some())
    }

    pub(super) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }

    /// When an empty commit must carry the cursors, or prove to egress that the partition still is its own.
    pub(super) fn due_at(&self, confirmed_at_ms: i64) -> Option<i64> {
        self.sinks
            .iter()
            .filter_map(|sink| {
                let lacks = self.lacking.back().is_some_and(|last| sink.cursor.through < last.end);
                let since = [sink.unrecorded_since_ms, lacks.then_some(confirmed_at_ms)];
                let since = since.into_iter().flatten().min()?;
                Some(since.saturating_add(sink.config.duplicate_window_ms / WINDOW_SHARE))
            })
            .min()
    }
}
