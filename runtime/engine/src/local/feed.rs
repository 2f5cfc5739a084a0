//! Reads the inputs of a local run in the order of their event times.

use bytes::Bytes;
use millstream_core::ids::{SourceId, WATERMARK_MAX, WATERMARK_MIN};
use millstream_core::slice::SourcePosition;

use super::lines::Lines;
use crate::error::EngineError;
use crate::input::Chunk;
use crate::instance;
use crate::router::{Ends, Raw, Router};
use crate::spec::{InputFrom, PipelineSpec};

/// Records of a chunk over all partitions, so that the calls of each are large.
const CHUNK_RECORDS: u64 = 8192;

/// A source with all that reads it.
pub struct Feed {
    lines: Lines,
    /// Each with the number of its stage's first lane.
    routers: Vec<(usize, Router)>,
    sequence: u64,
    ended: bool,
}

impl Feed {
    /// The feed of source number `source`; `first_lanes` holds one number per stage.
    pub fn new(
        spec: &PipelineSpec,
        source: usize,
        lines: Lines,
        first_lanes: &[usize],
    ) -> Result<Self, EngineError> {
        let mut routers = Vec::new();
        for (stage, &first_lane) in spec.stages.iter().zip(first_lanes) {
            for (id, input) in stage.inputs.iter().enumerate() {
                if input.from != InputFrom::Source(source) {
                    continue;
                }
                let unread = SourcePosition::unread(SourceId(id as u16));
                let decoder = instance::decoder(spec, stage, input)?;
                let router = Router::new(input.input as u32, decoder, stage.partitions, unread);
                routers.push((first_lane, router));
            }
        }
        Ok(Self { lines, routers, sequence: 0, ended: false })
    }

    /// The highest event time so far.
    fn event_time(&self) -> i64 {
        match self.ended {
            true => WATERMARK_MAX,
            false => {
                self.routers.first().map_or(WATERMARK_MIN, |(_, r)| r.position().max_event_time)
            }
        }
    }

    /// Hands over records until one is later than `until`, or a chunk is full.
    fn step(
        &mut self,
        until: i64,
        send: &mut impl FnMut(usize, Chunk) -> bool,
    ) -> Result<bool, EngineError> {
        let full_at = self.sequence + CHUNK_RECORDS;
        while self.sequence < full_at && !self.ended {
            let Some(payload) = self.lines.next()? else {
                self.ended = true;
                break;
            };
            self.sequence += 1;
            let raw = |payload| Raw {
                sequence: self.sequence,
                time_ns: 0,
                arrived_ms: 0,
                subject: Bytes::new(),
                headers: None,
                attempts: 0,
                payload,
            };
            if let Some(((_, last), others)) = self.routers.split_last_mut() {
                others.iter_mut().for_each(|(_, router)| router.add(raw(payload.clone())));
                last.add(raw(payload));
            }
            if self.event_time() > until {
                break;
            }
        }
        for (first_lane, router) in &mut self.routers {
            let chunks =
                router.finish(self.sequence, if self.ended { Ends::Input } else { Ends::Open });
            for (partition, chunk) in chunks.into_iter().enumerate() {
                if !send(*first_lane + partition, chunk) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Reads all inputs to their ends, always the one whose event time is least; returns how many records there were.
/// Stops early when `send` says that nobody listens.
pub fn feed(
    feeds: &mut [Feed],
    mut send: impl FnMut(usize, Chunk) -> bool,
) -> Result<u64, EngineError> {
    loop {
        let next =
            (0..feeds.len()).filter(|&i| !feeds[i].ended).min_by_key(|&i| feeds[i].event_time());
        let Some(next) = next else { break };
        let others = feeds.iter().enumerate().filter(|(i, _)| *i != next);
        let until = others.map(|(_, feed)| feed.event_time()).min().unwrap_or(WATERMARK_MAX);
        if !feeds[next].step(until, &mut send)? {
            break;
        }
    }
    Ok(feeds.iter().map(|feed| feed.sequence).sum())
}
