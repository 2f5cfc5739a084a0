//! Routes the records of one source to the partitions of one stage: decodes each
//! once, and notes the watermark's advances for all of them.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::columns::Values;
use millstream_core::exchange::Place;
use millstream_core::exchange::merge::{Anchor, Merged};
use millstream_core::ids::{Sequence, SourceId, key_hash, partition_of};
use millstream_core::slice::SourcePosition;
use millstream_log::HeaderMap;
use millstream_sandbox::codec::{Columns, Decoder, HeaderSource};

use crate::ingest::{self, Envelope};
use crate::input::{Chunk, MergedChunk, Origin, Scan, Undecodable};

/// Decodes and distributes. One per source and stage.
pub struct Router {
    input: u32,
    decoder: Decoder,
    position: SourcePosition,
    scan: Scan,
    parts: Vec<Part>,
    /// Per partition whether it is here: nothing is kept for the others.
    here: Vec<bool>,
    merged: Option<MergedRouter>,
    envelopes: Envelopes,
    /// A buffer kept from record to record.
    sealed: Vec<u8>,
}

/// Whether payloads are envelopes of records ([`crate::ingest`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelopes {
    /// They are records.
    #[default]
    No,
    /// Records are put into envelopes: for the stage that takes them into the log.
    Seal,
    /// Records are taken out of them: for who reads that stage.
    Open,
}

/// What routing another stage's outputs needs beside.
struct MergedRouter {
    /// Where the merge stood after the last finished stretch.
    from: Arc<Anchor>,
    /// Per partition and upstream partition what it has applied already.
    done: Vec<Vec<Place>>,
}

struct Part {
    records: Columns,
    hashes: Vec<u64>,
    origins: Vec<Origin>,
    undecodable: Vec<Undecodable>,
    places: Vec<(u16, Place)>,
    undecodable_places: Vec<(u16, Place)>,
}

/// What is behind a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// More of the input, now or later.
    Open,
    /// Nothing for so long that nobody shall wait for more.
    Idle,
    /// Nothing ever.
    Input,
}

/// A record as it came from a source.
pub struct Raw {
    /// Sequence in the source.
    pub sequence: u64,
    /// The broker's time, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The time that event times may be taken from, milliseconds since 1970 UTC: the broker's; of a redriven record that of
    /// its first arrival.
    pub arrived_ms: i64,
    /// The subject, UTF-8; of a redriven record the one that it had at first.
    pub subject: Bytes,
    /// Its headers, if there are any.
    pub headers: Option<Arc<HeaderMap>>,
    /// How often it was tried before.
    pub attempts: u32,
    /// The payload.
    pub payload: Bytes,
}

/// Headers as the decoder asks for them.
struct Headers<'a>(Option<&'a HeaderMap>);

impl HeaderSource for Headers<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        Some(self.0?.get(name)?.as_str().as_bytes())
    }
}

impl Router {
    /// A router that goes on behind `position`.
    pub fn new(input: u32, decoder: Decoder, partitions: u16, position: SourcePosition) -> Self {
        let parts = (0..partitions).map(|_| Part::new(&decoder)).collect();
        let scan = Scan { event_time_before: position.max_event_time, ..Scan::default() };
        let here = vec![true; usize::from(partitions)];
        let (envelopes, sealed) = (Envelopes::No, Vec::new());
        Self { input, decoder, position, scan, parts, here, merged: None, envelopes, sealed }
    }

    /// Payloads are envelopes, or become such.
    #[must_use]
    pub fn with(mut self, envelopes: Envelopes) -> Self {
        self.envelopes = envelopes;
        self
    }

    /// The partition is elsewhere: its chunks are empty from now on.
    pub fn leave_out(&mut self, partition: u16) {
        self.here[usize::from(partition)] = false;
    }

    /// A router of another stage's merged outputs that goes on behind `from`. `done` is, per partition and upstream
    /// partition, the place up to which it has applied them.
    pub fn merged(
        input: u32,
        decoder: Decoder,
        source: SourceId,
        from: Anchor,
        done: Vec<Vec<Place>>,
    ) -> Self {
        let position = SourcePosition::unread(source);
        let mut router = Self::new(input, decoder, done.len() as u16, position);
        router.merged = Some(MergedRouter { from: Arc::new(from), done });
        router
    }

    /// The end of the last finished stretch.
    pub fn position(&self) -> SourcePosition {
        self.position
    }

    /// Adds the next record of the source.
    pub fn add(&mut self, raw: Raw) {
        let sequence = raw.sequence;
        (self.position.last_sequence, self.position.last_time_ns) =
            (Sequence(sequence), raw.time_ns);
        if let Some(event_time) = self.route(raw, None)
            && event_time > self.position.max_event_time
        {
            self.position.max_event_time = event_time;
            self.scan.advances.push((sequence, event_time));
        }
    }

    /// Adds the next element of another stage's merged outputs; `name` is what the input is called.
    pub fn add_merged(&mut self, element: Merged, name: &Bytes) {
        match element {
            Merged::Advance { number, watermark } => {
                if watermark > self.position.max_event_time {
                    self.position.max_event_time = watermark;
                    self.scan.advances.push((number, watermark));
                }
            }
            Merged::Output { number, partition, place, event_time, payload, .. } => {
                let opened = match self.envelopes {
                    Envelopes::Open => ingest::open(payload.clone()),
                    _ => None,
                };
                let raw = match opened {
                    Some(Envelope { time_ns, attempts, subject, headers, payload }) => {
                        let (arrived_ms, headers) = (event_time, headers.map(Arc::new));
                        Raw {
                            sequence: number,
                            time_ns,
                            arrived_ms,
                            subject,
                            headers,
                            attempts,
                            payload,
                        }
                    }
                    None => Raw {
                        sequence: number,
                        time_ns: event_time.saturating_mul(1_000_000),
                        arrived_ms: event_time,
                        subject: name.clone(),
                        headers: None,
                        attempts: 0,
                        payload,
                    },
                };
                self.route(raw, Some((partition, place)));
            }
        }
    }

    /// Decodes a record for the partition it belongs to; its event time if it has one. `place` is before it.
    fn route(&mut self, raw: Raw, place: Option<(u16, Place)>) -> Option<i64> {
        let subject = raw.subject.clone();
        let subject = str::from_utf8(&subject).unwrap_or_default();
        let payload = raw.payload.clone();
        let headers = raw.headers.clone();
        let mut origin = Some(Origin {
            sequence: raw.sequence,
            time_ns: raw.time_ns,
            subject: raw.subject,
            attempts: raw.attempts,
            payload: raw.payload,
            headers: raw.headers,
        });
        let partitions = self.parts.len() as u16;
        let every = self.decoder.goes_to_every_partition();
        let is_done = |partition: usize| {
            let merged = self.merged.as_ref().zip(place);
            !self.here[partition]
                || merged
                    .is_some_and(|(m, (from, place))| place < m.done[partition][usize::from(from)])
        };
        let behind = place.map(|(from, at)| (from, Place { outputs: at.outputs + 1, ..at }));
        let source = Headers(headers.as_deref());
        let seals = self.envelopes == Envelopes::Seal;
        if let (true, Some(origin)) = (seals, &origin) {
            self.sealed.clear();
            let (headers, out) = (headers.as_deref(), &mut self.sealed);
            let Origin { time_ns, attempts, subject, payload, .. } = origin;
            ingest::seal(*time_ns, *attempts, subject, headers, payload, out);
        }
        match self.decoder.scan(&payload, subject, &source, raw.arrived_ms) {
            Ok(scanned) => {
                let hash = key_hash(scanned.key());
                let event_time = scanned.event_time();
                let own = partition_of(hash, partitions) as usize;
                let owners = if every { 0..self.parts.len() } else { own..own + 1 };
                for partition in owners.filter(|&partition| !is_done(partition)) {
                    let copy = if every { origin.clone() } else { origin.take() };
                    let Some(origin) = copy else { break };
                    let part = &mut self.parts[partition];
                    let appended = if seals {
                        append_sealed(&mut part.records, event_time, &self.sealed);
                        Ok(())
                    } else {
                        scanned.append(&mut part.records)
                    };
                    match appended {
                        Ok(()) => {
                            part.hashes.push(hash);
                            part.origins.push(origin);
                            part.places.extend(behind);
                        }
                        // One of them buries it.
                        Err(_) if every && partition > 0 => {}
                        Err(error) => part.reject(origin, error.to_string(), behind),
                    }
                }
                Some(event_time)
            }
            // Without a key no partition owns it; the first one buries it.
            Err(error) => {
                if let Some(origin) = origin.filter(|_| !is_done(0)) {
                    self.parts[0].reject(origin, error.to_string(), behind);
                }
                None
            }
        }
    }

    /// Ends the stretch of another stage's merged outputs where the merge now stands, which is idle or not.
    pub fn finish_merged(&mut self, through: Anchor, idle: bool) -> Vec<Chunk> {
        let through = Arc::new(through);
        let merged = self.merged.as_mut().expect("made for another stage's outputs");
        let from = std::mem::replace(&mut merged.from, Arc::clone(&through));
        let mut chunks = self.finish(through.number, if idle { Ends::Idle } else { Ends::Open });
        for chunk in &mut chunks {
            if let Some(merged) = &mut chunk.merged {
                (merged.from, merged.through) = (Arc::clone(&from), Arc::clone(&through));
            }
        }
        chunks
    }

    /// Ends the stretch at the sequence `through` and gives each partition its chunk.
    pub fn finish(&mut self, through: u64, ends: Ends) -> Vec<Chunk> {
        self.position.sequence = Sequence(through);
        let position = self.position;
        let next = Scan { event_time_before: position.max_event_time, ..Scan::default() };
        let mut scan = std::mem::replace(&mut self.scan, next);
        scan.through = through;
        scan.last_sequence = position.last_sequence.0;
        scan.last_time_ns = position.last_time_ns;
        scan.stream_created_ns = position.stream_created_ns;
        scan.end_of_input = ends == Ends::Input;
        scan.idle = ends == Ends::Idle;
        let scan = Arc::new(scan);
        let decoder = &self.decoder;
        let (source, input) = (position.source, self.input);
        let merged = self.merged.as_ref().map(|m| &m.from);
        let parts = self.parts.iter_mut().map(|part| {
            let Part { records, hashes, origins, undecodable, places, undecodable_places } =
                std::mem::replace(part, Part::new(decoder));
            let merged = merged.map(|from| MergedChunk {
                from: Arc::clone(from),
                through: Arc::clone(from),
                places,
                undecodable: undecodable_places,
            });
            let scan = Arc::clone(&scan);
            Chunk { source, input, scan, records, hashes, origins, undecodable, merged }
        });
        parts.collect()
    }
}

/// Appends an envelope as a record without a key.
fn append_sealed(records: &mut Columns, event_time: i64, sealed: &[u8]) {
    records.keys.push(&[]);
    records.event_times.push(event_time);
    for column in &mut records.columns {
        if let Values::Blobs(items) = &mut column.values {
            items.push(sealed);
        }
    }
}

impl Part {
    fn new(decoder: &Decoder) -> Self {
        Self {
            records: decoder.columns(),
            hashes: Vec::new(),
            origins: Vec::new(),
            undecodable: Vec::new(),
            places: Vec::new(),
            undecodable_places: Vec::new(),
        }
    }

    fn reject(&mut self, origin: Origin, cause: String, place: Option<(u16, Place)>) {
        self.undecodable_places.extend(place);
        self.undecodable.push(Undecodable { before: self.origins.len(), origin, cause });
    }
}
