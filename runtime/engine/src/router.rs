//! Routes the records of one source to the partitions of one stage: decodes each
//! once, and notes the watermark's advances for all of them.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::ids::{Sequence, key_hash, partition_of};
use millstream_core::slice::SourcePosition;
use millstream_sandbox::codec::{Columns, Decoder, HeaderSource};

use crate::input::{Chunk, Origin, Scan, Undecodable};

/// Decodes and distributes. One per source and stage.
pub struct Router {
    input: u32,
    decoder: Decoder,
    position: SourcePosition,
    scan: Scan,
    parts: Vec<Part>,
}

struct Part {
    records: Columns,
    hashes: Vec<u64>,
    origins: Vec<Origin>,
    undecodable: Vec<Undecodable>,
}

/// A record as it came from a source.
pub struct Raw<'a> {
    /// Sequence in the source.
    pub sequence: u64,
    /// The broker's time, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The subject, UTF-8.
    pub subject: Bytes,
    /// Its headers.
    pub headers: &'a dyn HeaderSource,
    /// How often it was tried before.
    pub attempts: u32,
    /// The payload.
    pub payload: Bytes,
}

impl Router {
    /// A router that goes on behind `position`.
    pub fn new(input: u32, decoder: Decoder, partitions: u16, position: SourcePosition) -> Self {
        let parts = (0..partitions).map(|_| Part::new(&decoder)).collect();
        let scan = Scan { event_time_before: position.max_event_time, ..Scan::default() };
        Self { input, decoder, position, scan, parts }
    }

    /// The end of the last finished stretch.
    pub fn position(&self) -> SourcePosition {
        self.position
    }

    /// Adds the next record of the source.
    pub fn add(&mut self, raw: Raw<'_>) {
        let subject = raw.subject.clone();
        let subject = str::from_utf8(&subject).unwrap_or_default();
        let payload = raw.payload.clone();
        (self.position.last_sequence, self.position.last_time_ns) =
            (Sequence(raw.sequence), raw.time_ns);
        let origin = Origin {
            sequence: raw.sequence,
            time_ns: raw.time_ns,
            subject: raw.subject,
            attempts: raw.attempts,
            payload: raw.payload,
        };
        let partitions = self.parts.len() as u16;
        match self.decoder.scan(&payload, subject, raw.headers, raw.time_ns / 1_000_000) {
            Ok(scanned) => {
                let hash = key_hash(scanned.key());
                let event_time = scanned.event_time();
                let part = &mut self.parts[partition_of(hash, partitions) as usize];
                match scanned.append(&mut part.records) {
                    Ok(()) => {
                        part.hashes.push(hash);
                        part.origins.push(origin);
                    }
                    Err(error) => part.reject(origin, error.to_string()),
                }
                if event_time > self.position.max_event_time {
                    self.position.max_event_time = event_time;
                    self.scan.advances.push((raw.sequence, event_time));
                }
            }
            // Without a key no partition owns it; the first one buries it.
            Err(error) => self.parts[0].reject(origin, error.to_string()),
        }
    }

    /// Ends the stretch at the sequence `through` and gives each partition its chunk.
    pub fn finish(&mut self, through: u64, end_of_input: bool) -> Vec<Chunk> {
        self.position.sequence = Sequence(through);
        let position = self.position;
        let next = Scan { event_time_before: position.max_event_time, ..Scan::default() };
        let mut scan = std::mem::replace(&mut self.scan, next);
        scan.through = through;
        scan.last_sequence = position.last_sequence.0;
        scan.last_time_ns = position.last_time_ns;
        scan.stream_created_ns = position.stream_created_ns;
        scan.end_of_input = end_of_input;
        let scan = Arc::new(scan);
        let decoder = &self.decoder;
        let (source, input) = (position.source, self.input);
        let parts = self.parts.iter_mut().map(|part| {
            let Part { records, hashes, origins, undecodable } =
                std::mem::replace(part, Part::new(decoder));
            Chunk { source, input, scan: Arc::clone(&scan), records, hashes, origins, undecodable }
        });
        parts.collect()
    }
}

impl Part {
    fn new(decoder: &Decoder) -> Self {
        Self {
            records: decoder.columns(),
            hashes: Vec::new(),
            origins: Vec::new(),
            undecodable: Vec::new(),
        }
    }

    fn reject(&mut self, origin: Origin, cause: String) {
        self.undecodable.push(Undecodable { before: self.origins.len(), origin, cause });
    }
}
