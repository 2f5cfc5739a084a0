//! Reading other stages: what an owner does for each input of its stage that is another stage's
//! output. It reads the upstream lanes' commits, merges them, and hands its operator what it lacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_core::commit::decode_header_of;
use millstream_core::exchange::merge::{Anchor, Merge, Merged};
use millstream_core::exchange::{
    Committed, Exchange, Place, Reading, Standing, UpstreamPosition, begin_at, needed_of,
};
use millstream_core::ids::{CommitNumber, Sequence, SourceId, WATERMARK_MIN};
use millstream_core::partition::Event as Input;
use millstream_core::recovery::{StoredRecord, decode};
use millstream_core::slice::SourcePosition;

use crate::faults::{Bug, Fault};
use crate::network::{OwnerId, Request};
use crate::operator::Input as Queued;
use crate::owner::{Life, Owner, QUEUE_MAX};
use crate::topology::From;
use crate::world::World;

/// The reader of one input.
#[derive(Debug)]
pub struct Reader {
    source: usize,
    /// The stage that is read.
    from: usize,
    merge: Merge,
    readings: Vec<Reading>,
    /// Upstream partitions that were read at least once: the first stretch is of all of them.
    heard: BTreeSet<u16>,
    /// The end of the last stretch.
    passed: Arc<Anchor>,
    /// What the owner's partition had applied when the reader began.
    standing: Option<Standing>,
    /// Whether it began further behind, for others.
    for_others: bool,
    watermark: i64,
}

impl Reader {
    /// Whether everything up to the ends of the upstream lanes is read and merged, and nothing before is held on to.
    fn has_all(&self, ends: &[Sequence]) -> bool {
        let mut places = self.passed.places.iter().zip(&self.readings).zip(ends);
        self.merge.waiting() == 0
            && places.all(|((place, reading), end)| reading.taken() == *end && place.commit == *end)
    }

    /// Whether everything up to these records of the upstream lanes is passed on.
    pub fn has_passed(&self, records: &[Sequence]) -> bool {
        let mut places = self.passed.places.iter().zip(records);
        places.all(|(place, &commit)| *place >= Place { commit, outputs: u32::MAX })
    }

    /// The stage that is read.
    pub fn from(&self) -> usize {
        self.from
    }

    pub fn describe(&self) -> String {
        let taken: Vec<_> = self.readings.iter().map(|reading| reading.taken().0).collect();
        format!("{taken:?} waiting {} passed {:?}", self.merge.waiting(), self.passed)
    }
}

impl World {
    /// Begins to read the other stages from where the owner's partition stands.
    pub fn start_readers(
        &mut self,
        id: OwnerId,
        positions: &[SourcePosition],
        upstream: &[UpstreamPosition],
    ) {
        let lane = self.owners[id].lane;
        let topology = self.lives.topology(lane).clone();
        let (stage, _) = topology.at(lane);
        let inputs = topology.stages[stage].inputs.clone();
        for (source, input) in inputs.into_iter().enumerate() {
            let From::Stage { stage: from, output } = input else { continue };
            let partitions = topology.stages[from].partitions;
            let source_id = SourceId(source as u16);
            let mut own = Standing::recorded(source_id, partitions, positions, upstream);
            if self.bug == Some(Bug::FirstStretchForgotten) {
                let places = upstream.iter().filter(|place| place.source == source_id);
                let is_read = places.map(|place| place.anchor).any(|a| a != Place::default());
                own = own.filter(|_| is_read);
            }
            let mut standings = vec![own.clone()];
            if self.rng.chance(self.plan.shared_readers) {
                // The reader also serves other partitions, which may be further behind.
                let node = self.owners[id].node;
                let held = self.cluster.is_some().then(|| self.held_by(node));
                let is_here = |other: u16| held.as_ref().is_none_or(|h| h.contains_key(&other));
                let lanes = topology.lanes_of(stage);
                for other in lanes.filter(|&other| other != lane && is_here(other)) {
                    let record = self.tail_of(other);
                    standings.push(record.and_then(|record| {
                        let slice = &record.slice;
                        Standing::recorded(source_id, partitions, &slice.positions, &slice.upstream)
                    }));
                }
            }
            let ordering = topology.ordering(from);
            let start = begin_at(standings.iter().map(Option::as_ref), partitions, ordering);
            let for_others = own.as_ref().is_some_and(|own| **own.anchor() != start);
            if for_others {
                self.fire(Fault::ReadsForOthers);
            }
            let late = u64::from(self.bug == Some(Bug::ReadsOneLate));
            let begin = |place: &Place| {
                let late = if place.commit.0 > 0 { late } else { 0 };
                Reading::at(Place { commit: Sequence(place.commit.0 + late), ..*place })
            };
            let reader = Reader {
                source,
                from,
                merge: Merge::new(output, ordering, &start),
                heard: BTreeSet::new(),
                readings: start.places.iter().map(begin).collect(),
                passed: Arc::new(start),
                standing: own,
                for_others,
                watermark: WATERMARK_MIN,
            };
            let index = self.owners[id].readers.len();
            self.owners[id].readers.push(reader);
            for partition in 0..partitions {
                self.read_commits(id, index, partition, 0);
            }
        }
    }

    fn read_commits(&mut self, id: OwnerId, reader: usize, partition: u16, delay_ms: u64) {
        let owner = &self.owners[id];
        let from = owner.readers[reader].from;
        let lane = self.lives.topology(owner.lane).lane(from, partition);
        let request = Request::Commits { reader, partition, lane };
        self.send_later(id, delay_ms, request);
    }

    /// From where on a request for commits asks, when it is served.
    pub fn commits_wanted(&self, id: OwnerId, reader: usize, partition: u16) -> Sequence {
        self.owners[id].readers[reader].readings[usize::from(partition)].next()
    }

    /// What the owner's node has in memory of the commits that a reader wants next.
    pub fn commits_here(
        &mut self,
        id: OwnerId,
        reader: usize,
        partition: u16,
        lane: u16,
    ) -> Option<Vec<Committed>> {
        let taken = self.owners[id].readers[reader].readings[usize::from(partition)].taken();
        let commits = self.following_here(self.owners[id].node, lane, taken)?;
        if !commits.is_empty() {
            self.fire(Fault::TakenFromMemory);
        }
        Some(commits)
    }

    pub fn commits_read(
        &mut self,
        id: OwnerId,
        index: usize,
        partition: u16,
        (records, through): (&[StoredRecord], Sequence),
    ) {
        let mut commits = Vec::new();
        let pipeline = self.lives.pipeline(self.owners[id].lane);
        for stored in records {
            let record = match decode(stored, pipeline) {
                Ok(record) => record,
                Err(incident) => return self.reader_failed(id, &incident.to_string()),
            };
            let (sequence, number) = (stored.sequence, record.header.number);
            let (outputs, exchange) = (record.slice.outputs.freeze(), record.slice.exchange);
            commits.push(Committed { sequence, number, outputs, exchange });
        }
        let believed = self.bug == Some(Bug::ShortReadBelieved);
        self.take_commits(id, index, partition, commits);
        if believed && self.owners[id].life != Life::Dead {
            let from = self.owners[id].readers[index].from;
            let lane = self.lives.topology(self.owners[id].lane).lane(from, partition);
            let skipped = self.log.at(lane, through);
            let reading = &mut self.owners[id].readers[index].readings[usize::from(partition)];
            if let Some(skipped) = skipped.filter(|skipped| reading.taken() < skipped.sequence) {
                let header = decode_header_of(&skipped.message).unwrap();
                *reading = having(through, header.number);
            }
        }
    }

    /// Merges the next commits of an upstream partition, and asks for more.
    pub fn take_commits(
        &mut self,
        id: OwnerId,
        index: usize,
        partition: u16,
        commits: Vec<Committed>,
    ) {
        let idle = commits.is_empty();
        for Committed { sequence, number, outputs, mut exchange } in commits {
            let reader = &mut self.owners[id].readers[index];
            let reading = &mut reader.readings[usize::from(partition)];
            if self.bug == Some(Bug::ReadsOneLate)
                || self.bug == Some(Bug::FollowerSkipsGap) && reader.heard.contains(&partition)
            {
                *reading = having(sequence, number);
            } else if let Err(gone) = reading.take(sequence, number) {
                return self.reader_lags(id, index, &gone.to_string());
            }
            if self.bug == Some(Bug::FrontierIgnored)
                && let Some(exchange) = &mut exchange
            {
                *exchange = Exchange { frontier: i64::MAX - 1, ..std::mem::take(exchange) };
            }
            reader.merge.commit(partition, sequence, &outputs, exchange.as_ref());
        }
        let reader = &mut self.owners[id].readers[index];
        reader.heard.insert(partition);
        if reader.heard.len() == reader.readings.len() {
            self.pass_on(id, index);
            self.drive(id, Input::Input);
        }
        let full = self.owners[id].machine.operator().queue.len() > QUEUE_MAX;
        let stalled = self.plan.reader_stalled > 0 && self.strikes(self.plan.reader_stalled);
        let delay = match (full, idle) {
            _ if stalled => {
                self.fire(Fault::ReaderStalled);
                200 + self.rng.below(4_000)
            }
            (true, _) => 40,
            (_, true) => 10 + self.rng.below(40),
            _ => self.rng.below(10),
        };
        self.read_commits(id, index, partition, delay);
    }

    /// Hands the operator the stretch that the merge has come by.
    fn pass_on(&mut self, id: OwnerId, index: usize) {
        let owner = &mut self.owners[id];
        let topology = self.lives.topology(owner.lane);
        let (stage, _) = topology.at(owner.lane);
        let reader = &mut owner.readers[index];
        let source = reader.source;
        let mut stretch = Vec::new();
        let mut applied = false;
        while let Some(merged) = reader.merge.poll() {
            match merged {
                Merged::Advance { number, watermark } => {
                    if watermark > reader.watermark {
                        reader.watermark = watermark;
                        stretch.push(Queued::Advance { source, number, watermark });
                    }
                }
                Merged::Output { number, partition, place, event_time, payload, .. } => {
                    let record = topology.stage_record(stage, event_time, &payload);
                    if topology.owner_of(stage, &record.key) != owner.lane {
                        continue;
                    }
                    let known = reader.standing.as_ref();
                    let known = known.is_some_and(|own| own.has_applied(partition, place));
                    applied |= known;
                    if known && self.bug != Some(Bug::AppliedAgain) {
                        continue;
                    }
                    let from = Arc::clone(&reader.passed);
                    let behind = Place { outputs: place.outputs + 1, ..place };
                    let output = Queued::Output { source, number, from, partition, behind, record };
                    stretch.push(output);
                }
            }
        }
        let waits = reader.merge.waiting() > 0;
        let anchor = reader.merge.anchor();
        if anchor != *reader.passed {
            let through = Arc::new(anchor);
            reader.passed = Arc::clone(&through);
            if self.bug == Some(Bug::AnchorTooNew) {
                for queued in &mut stretch {
                    if let Queued::Output { from, .. } = queued {
                        *from = Arc::clone(&through);
                    }
                }
            }
            let queue = &mut owner.machine.operator_mut().queue;
            queue.extend(stretch);
            queue.push_back(Queued::Through { source, through });
        }
        for (fault, fired) in [(Fault::OutputsWait, waits), (Fault::AppliedSkipped, applied)] {
            if fired {
                self.fire(fault);
            }
        }
    }

    /// The log was trimmed before a reader. One that began further behind than its own partition needs begins anew,
    /// without those for whose sake it did.
    fn reader_lags(&mut self, id: OwnerId, index: usize, why: &str) {
        if self.cluster.is_some() && self.owners[id].readers[index].for_others {
            self.fire(Fault::ReaderTrimmed);
            return self.kill(id);
        }
        self.reader_failed(id, why);
    }

    /// Only a former owner may find the log trimmed before it.
    fn reader_failed(&mut self, id: OwnerId, why: &str) {
        let owner = &self.owners[id];
        let newest = self.tail_of(owner.lane).map(|record| record.header.generation);
        if newest == Some(owner.machine.generation()) {
            self.failure = Some(format!("lane {}, owner {id}: {why}", owner.lane));
        }
        self.kill(id);
    }

    /// Whether the readers of an owner have everything there is.
    pub fn has_read_all(&self, owner: &Owner) -> bool {
        owner.readers.iter().all(|reader| {
            let lanes = self.lives.topology(owner.lane).lanes_of(reader.from);
            let ends: Vec<_> = lanes
                .map(|lane| self.log.last_of(lane).map_or(Sequence(0), |last| last.sequence))
                .collect();
            reader.has_all(&ends)
        })
    }

    /// From where on the partitions of other stages need the records of a lane.
    pub fn needed_downstream(&self, lane: u16) -> Vec<Sequence> {
        let topology = self.lives.topology(lane);
        let (stage, partition) = topology.at(lane);
        let mut needed = Vec::new();
        for (reader, source) in topology.readers(stage) {
            for downstream in topology.lanes_of(reader) {
                needed.push(self.needed_by(downstream, source, partition));
            }
        }
        if self.bug == Some(Bug::TrimOneTooFar) {
            needed.iter_mut().for_each(|from| from.0 += 1);
        }
        needed
    }

    /// What a downstream partition needs: what its last commit says, and what its owner's reader has not passed yet,
    /// which may be further behind for the sake of others. (The engine's one reader of a stage never passes the
    /// partition that it began for.)
    fn needed_by(&self, lane: u16, source: usize, partition: u16) -> Sequence {
        let Some(record) = self.tail_of(lane) else { return Sequence(0) };
        let recorded = needed_of(&record.slice.upstream, SourceId(source as u16), partition);
        let owner = self.owners.iter().rev().find(|owner| {
            let newest = owner.machine.generation() == record.header.generation;
            owner.lane == lane && owner.life != Life::Dead && newest
        });
        let reader = owner.and_then(|owner| owner.readers.iter().find(|r| r.source == source));
        let passed = reader.map(|reader| reader.passed.places[usize::from(partition)].commit);
        passed.map_or(recorded, |passed| passed.min(recorded))
    }

    /// After a purge or a commit: what a downstream partition would read again is still in the log.
    pub fn check_anchors(&mut self, lane: u16) {
        let Some(record) = self.tail_of(lane) else { return };
        let topology = self.lives.topology(lane);
        let (stage, _) = topology.at(lane);
        for position in &record.slice.upstream {
            let input = topology.stages[stage].inputs[usize::from(position.source.0)];
            let From::Stage { stage: from, .. } = input else { continue };
            let upstream = topology.lane(from, position.partition);
            let commit = position.anchor.commit;
            let held = if commit.0 == 0 {
                self.log.is_whole(upstream)
            } else {
                self.log.at(upstream, commit).is_some()
            };
            if !held {
                self.failure.get_or_insert(format!(
                    "lane {lane} would read lane {upstream} again from {} on, which is trimmed",
                    commit.0
                ));
            }
        }
    }
}

/// A planted bug: a reading that has a record, whatever is missing before it.
fn having(sequence: Sequence, number: CommitNumber) -> Reading {
    let mut reading = Reading::at(Place::default());
    let _ = reading.take(sequence, number);
    reading
}
