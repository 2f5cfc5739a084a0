//! The world: virtual time, servers, nodes with their disks, owners, and what goes
//! wrong. One thread, one queue of events, everything from one seed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_core::append::AppendReply;
use millstream_core::commit::{CommitKind, CommitRecord, decode_header_of};
use millstream_core::ids::{CommitNumber, Incarnation, Sequence, SourceId};
use millstream_core::incident::Incident;
use millstream_core::partition::{Event as Input, Stopped};
use millstream_core::recovery::{StoredRecord, decode, is_point};
use millstream_core::trim::{HeldBy, Needs, floor, next_purge, to_anchor};

use crate::cluster::Cluster;
use crate::faults::{Bug, Fault, Plan, Shape};
use crate::network::{Event, OwnerEvent, OwnerId, Reply, Request};
use crate::operator::Database;
use crate::owner::{Life, Owner};
use crate::rescale::{Lives, Recorded, Rescaling};
use crate::rng::Rng;
use crate::servers::log::Log;
use crate::servers::sink::{Message, Sink};
use crate::servers::source::{Pulled, Record, Source};

/// When a request is given up, milliseconds.
pub const TIME_OUT_MS: i64 = 150;
/// Nodes that owners may run on, if there is no cluster.
const NODES: u8 = 4;
/// A node that was never used.
const EMPTY_NODE: u8 = u8::MAX;
/// Without faults, everything must be done after so long.
const CALM_MS_MAX: i64 = 60_000;
/// Records behind a lane's last one that make it commit for its place alone.
pub const ANCHOR_RECORDS: u64 = 12;
/// Checkpoints kept per lane.
const KEPT: usize = 3;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Differs if anything happened differently.
    pub trace: u64,
    pub fired: [u32; Fault::COUNT],
    pub result: Result<(), String>,
}

pub struct World {
    pub now: i64,
    pub rng: Rng,
    pub plan: Plan,
    pub bug: Option<Bug>,
    pub fired: [u32; Fault::COUNT],
    pub lives: Lives,
    /// What the pipeline's record has said, the newest last.
    pub records: Vec<Recorded>,
    pub rescalings: Vec<Rescaling>,
    /// A planted bug: the revision of a record whose seals count no more.
    pub mended: u64,
    pub log: Log,
    pub source: Source,
    pub sinks: [Sink; 2],
    pub disks: BTreeMap<(u16, u8), Database>,
    pub old_copies: BTreeMap<(u16, u8), Database>,
    /// Per lane the stored ones, the newest last.
    pub checkpoints: BTreeMap<u16, Vec<Database>>,
    /// The latest commit of each lane that was refused.
    refused: BTreeMap<u16, Bytes>,
    pub owners: Vec<Owner>,
    /// Partitions whose pipeline was stopped by an incident.
    pub incidents: BTreeMap<u16, Incident>,
    /// A fault after which a source incident is the right answer.
    pub source_broken: bool,
    pub broker_up_at: i64,
    /// Sinks are handed nothing until then.
    pub sinks_up_at: i64,
    pub failure: Option<String>,
    queue: BTreeMap<(i64, u64), Box<Event>>,
    order: u64,
    pub trace: u64,
    done: bool,
    pub part: Part,
    /// The nodes, if they share the lanes.
    pub cluster: Option<Cluster>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Playing,
    Draining,
    LastRecovery,
}

impl World {
    pub fn run(shape: Shape, seed: u64, bug: Option<Bug>) -> Outcome {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(shape, &mut rng);
        let mut world = Self::new(rng, plan, bug);
        if shape == Shape::Cluster {
            world.start_cluster();
        }
        let result = world.play();
        Outcome { trace: world.trace, fired: world.fired, result }
    }

    fn new(mut rng: Rng, plan: Plan, bug: Option<Bug>) -> Self {
        let window = plan.duplicate_window_ms;
        let mut log = Log::default();
        log.no_expected_sequence = bug == Some(Bug::NoExpectedSequence);
        Self {
            now: 1_000,
            lives: Lives::new(Incarnation(rng.wide()), plan.topology.clone()),
            records: vec![Recorded { revision: 1, life: 0 }],
            rescalings: Vec::new(),
            mended: 0,
            rng,
            plan,
            bug,
            fired: [0; Fault::COUNT],
            log,
            source: Source::default(),
            sinks: [Sink::new(window), Sink::new(window)],
            disks: BTreeMap::new(),
            old_copies: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            refused: BTreeMap::new(),
            owners: Vec::new(),
            incidents: BTreeMap::new(),
            source_broken: false,
            broker_up_at: 0,
            sinks_up_at: 0,
            failure: None,
            queue: BTreeMap::new(),
            order: 0,
            trace: 0,
            done: false,
            part: Part::Playing,
            cluster: None,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let lanes = if self.cluster.is_none() { self.plan.topology.lanes() } else { 0 };
        for lane in 0..lanes {
            let late = if self.plan.topology.reads_source(lane) { 0 } else { self.plan.late_ms };
            self.at(1 + late, Event::Elect { lane, forced: false });
        }
        for fault in 0..self.plan.scheduled.len() {
            self.schedule_fault(fault);
        }
        self.at(1, Event::Produce);
        self.at(200, Event::Checkpoint);
        if self.cluster.is_none() {
            self.at(250, Event::Trim);
        }
        self.at(self.plan.calm_at_ms, Event::Check);
        self.until_done("the run")?;
        self.finish()
    }

    /// After all is processed: stops the owners in one way or another, lets new ones on empty nodes
    /// recover everything, and compares.
    fn finish(&mut self) -> Result<(), String> {
        if self.rng.chance(500) {
            let running: Vec<_> =
                (0..self.owners.len()).filter(|&id| self.owners[id].is_running()).collect();
            for &id in &running {
                self.owners[id].asked_to_drain = true;
                self.drive(id, Input::Drain);
            }
            self.part = Part::Draining;
            self.done = false;
            self.at(10, Event::Check);
            self.until_done("draining")?;
            for id in running {
                let stopped = &self.owners[id].stopped;
                if !matches!(
                    stopped,
                    Some(Stopped::Drained | Stopped::Incident(_) | Stopped::Fenced { .. })
                ) {
                    return Err(format!("owner {id} stopped with {stopped:?} when asked to drain"));
                }
            }
        }
        self.owners.iter_mut().for_each(|owner| owner.life = Life::Dead);
        for lane in self.current().all() {
            if !self.incidents.contains_key(&lane) {
                self.start_owner(lane, EMPTY_NODE);
            }
        }
        self.part = Part::LastRecovery;
        self.done = false;
        self.at(10, Event::Check);
        self.until_done("the last recovery")?;
        crate::audit::audit(self)
    }

    fn until_done(&mut self, what: &str) -> Result<(), String> {
        let limit = self.now.max(self.plan.calm_at_ms) + CALM_MS_MAX;
        while !self.done {
            let Some(((time, order), event)) = self.queue.pop_first() else {
                return Err(format!("nothing happens any more in {what}"));
            };
            self.now = time;
            self.note(time as u64 ^ order << 32);
            self.happen(*event);
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.now > limit {
                let states: Vec<_> = self
                    .owners
                    .iter()
                    .filter(|owner| owner.life != Life::Dead)
                    .map(Owner::describe)
                    .collect();
                return Err(format!("{what} does not come to an end: {states:?}"));
            }
        }
        Ok(())
    }

    /// Mixes a fact into the trace.
    pub fn note(&mut self, fact: u64) {
        self.trace = (self.trace.rotate_left(5) ^ fact).wrapping_mul(0x0100_0000_01b3);
    }

    pub fn fire(&mut self, fault: Fault) {
        self.fired[fault as usize] += 1;
    }

    pub fn is_calm(&self) -> bool {
        self.now >= self.plan.calm_at_ms
    }

    /// Draws whether something that happens in so many of a thousand cases does.
    pub fn strikes(&mut self, permille: u64) -> bool {
        !self.is_calm() && self.rng.chance(permille)
    }

    pub fn at(&mut self, delay: i64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), Box::new(event));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives { owner, connection, request_id, request } => {
                self.note(request_id << 8);
                self.serve(owner, connection, request_id, request);
            }
            Event::Owner(id, event) => {
                self.note(id as u64);
                self.owner_event(id, event);
            }
            Event::Resume(id) => self.resume(id),
            Event::Elect { lane, forced } => self.elect(lane, forced),
            Event::Produce => self.produce(),
            Event::Fault(index) => self.fault(index),
            Event::Checkpoint => self.checkpoint(),
            Event::CheckpointStored { owner, database } => self.store_checkpoint(owner, database),
            Event::Trim => self.trim(),
            Event::Node(id, event) => self.node_event(id, event),
            Event::Rescale(event) => self.rescale_event(event),
            Event::BrokerUp => {}
            Event::QuotaFreed => self.log.full = false,
            Event::Check => self.check(),
        }
    }

    fn produce(&mut self) {
        for _ in 0..1 + self.rng.below(4) {
            if self.source.history.len() as u64 >= self.plan.records {
                return;
            }
            let key = format!("key-{}", self.rng.below(self.plan.keys)).into_bytes();
            let late = if self.rng.chance(100) {
                self.rng.between(0, 900)
            } else {
                self.rng.between(0, 250)
            };
            let record = Record {
                key,
                amount: self.rng.below(1000),
                event_time: self.now - late,
                time_ns: self.now * 1_000_000 + self.source.last as i64,
                excluded: self.plan.filtered && self.rng.chance(400),
            };
            self.source.publish(record);
        }
        let gap = 4 * self.plan.calm_at_ms / self.plan.records as i64;
        let delay = self.rng.between(1, gap.max(2));
        self.at(delay, Event::Produce);
    }

    // Servers.

    fn serve(
        &mut self,
        owner: OwnerId,
        connection: Option<u64>,
        request_id: u64,
        request: Request,
    ) {
        let of = &self.owners[owner];
        if connection.is_some_and(|connection| connection != of.connection)
            || self.now < self.broker_up_at
        {
            return;
        }
        let lane = of.lane;
        let reply = match request {
            Request::Tail => {
                let last = self.log.last_of(lane);
                let before = self.log.last_but_one_of(lane);
                if before.is_some() && self.strikes(self.plan.stale_read) {
                    self.fire(Fault::StaleRead);
                    Reply::Tail(before)
                } else {
                    Reply::Tail(last)
                }
            }
            Request::Record(sequence) => Reply::Record(self.log.at(lane, sequence)),
            Request::Records(from) => {
                let limit = 1 + self.rng.below(12) as usize;
                Reply::Records(self.log.from(lane, from, limit))
            }
            Request::Append { message, expected } => {
                if self.strikes(self.plan.refused) {
                    self.fire(Fault::RefusedThoughFine);
                    Reply::Append(AppendReply::Refused)
                } else {
                    let rebased =
                        self.bug == Some(Bug::CommitsRebased) && !Self::is_takeover(&message);
                    let last = self.log.last_of(lane).map_or(expected, |last| last.sequence);
                    let expected = if rebased { last } else { expected };
                    let reply = self.log.append(lane, &message, expected);
                    match reply {
                        AppendReply::Acknowledged(_) => self.check_anchors(lane),
                        AppendReply::Refused if !Self::is_takeover(&message) => {
                            self.refused.insert(lane, message);
                        }
                        _ => {}
                    }
                    if reply == AppendReply::Full {
                        self.fire(Fault::QuotaFull);
                    }
                    if self.strikes(self.plan.acknowledgement_lost) {
                        self.fire(Fault::AcknowledgementLost);
                        return;
                    }
                    Reply::Append(reply)
                }
            }
            Request::Restore => Reply::Restored(self.serve_checkpoint(lane)),
            Request::Attach { last_read, start } => {
                let facts = self.source.facts(last_read);
                Reply::Attached { facts, consumer: self.source.make_consumer(start) }
            }
            Request::Pull { consumer } => match self.serve_pull(consumer) {
                Some(pulled) => Reply::Pulled(pulled),
                None => return,
            },
            Request::Commits { reader, partition, lane: upstream } => {
                let from = self.commits_wanted(owner, reader, partition);
                let (records, through) = self.serve_commits(upstream, from);
                Reply::Commits { reader, partition, records, through }
            }
            Request::ReadSink { sink, above } => {
                Reply::SinkRead { sink, ids: self.sinks[sink].above(above) }
            }
            Request::Publish { sink, publication } => {
                let mut id = publication.id.to_string();
                if self.bug == Some(Bug::IdsPerOwner) {
                    id.push_str(&format!("-{owner}"));
                }
                let message = Message { id, key: publication.key, payload: publication.payload };
                let (sequence, duplicate) = self.sinks[sink].publish(self.now, message);
                if duplicate {
                    self.fire(Fault::DuplicatePublished);
                }
                Reply::Published { sink, ticket: publication.ticket, sequence }
            }
            Request::PublishBatch { sink, batch } => {
                let messages = batch.outputs.into_iter().map(|output| Message {
                    id: output.id.to_string(),
                    key: output.key,
                    payload: output.payload,
                });
                let expected = (self.bug != Some(Bug::BatchNotFenced)).then_some(batch.expected);
                let (messages, record) = (messages.collect(), batch.cursor.encode());
                let subject = self.lives.topology(lane).at(lane);
                let sequence = self.sinks[sink].publish_batch(subject, messages, record, expected);
                if sequence.is_none() {
                    self.fire(Fault::BatchRefused);
                } else if self.strikes(self.plan.acknowledgement_lost) {
                    self.fire(Fault::AcknowledgementLost);
                    return;
                }
                Reply::BatchPublished { sink, sequence }
            }
            Request::ReadRecord { sink, asked_at_ms } => {
                let newer = usize::from(self.strikes(self.plan.stale_read));
                let subject = self.lives.topology(lane).at(lane);
                let record = self.sinks[sink].record(subject, newer);
                Reply::RecordRead { sink, asked_at_ms, record }
            }
        };
        self.answer(owner, request_id, reply);
    }

    /// Some commits of an upstream lane, and where its last one is. A replica may be behind.
    pub fn serve_commits(&mut self, lane: u16, from: Sequence) -> (Vec<StoredRecord>, Sequence) {
        let most = if self.rng.chance(300) { 100 } else { 12 };
        let limit = 1 + self.rng.below(most) as usize;
        let mut records = self.log.from(lane, from, limit);
        let last = self.log.last_of(lane).map_or(Sequence(0), |last| last.sequence);
        let through = if records.len() < limit { last } else { records[limit - 1].sequence };
        if !records.is_empty() && self.strikes(self.plan.stale_read) {
            self.fire(Fault::ShortRead);
            records.truncate(self.rng.below(records.len() as u64) as usize);
        }
        if self.bug == Some(Bug::RefusedCommitRead)
            && let Some(message) = self.refused.get(&lane)
            && through == last
        {
            let sequence = Sequence(last.0 + 1);
            records.push(StoredRecord { sequence, message: message.clone() });
        }
        (records, through)
    }

    /// The last record of a lane.
    pub fn tail_of(&self, lane: u16) -> Option<CommitRecord> {
        self.log.last_of(lane).and_then(|last| decode(&last, self.lives.pipeline(lane)).ok())
    }

    fn serve_pull(&mut self, consumer: u64) -> Option<Pulled> {
        if self.strikes(self.plan.duplicate_delivery) {
            let by = 1 + self.rng.below(5);
            if self.source.rewind(consumer, by) {
                self.fire(Fault::DuplicateDelivery);
            }
        }
        let limit = 1 + self.rng.below(10) as usize;
        let mut pulled = self.source.pull(consumer, limit);
        if let Pulled::Records { batch, .. } = &mut pulled
            && self.strikes(self.plan.pull_lost)
        {
            self.fire(Fault::PullLost);
            batch.truncate(self.rng.below(batch.len() as u64) as usize);
            if batch.is_empty() {
                return None;
            }
        }
        Some(pulled)
    }

    /// The newest intact checkpoint.
    pub fn serve_checkpoint(&mut self, lane: u16) -> Option<Database> {
        let kept = self.checkpoints.get(&lane)?;
        let newest = kept.last()?.clone();
        let before = kept.len().checked_sub(2).map(|before| kept[before].clone());
        let is_of_log = |database: &Database| {
            let point = database.local.redo_from;
            is_point(&point, self.log.at(lane, point.sequence).as_ref())
        };
        match before.filter(is_of_log) {
            Some(before) if self.strikes(self.plan.checkpoint_damaged) => {
                self.fire(Fault::CheckpointDamaged);
                Some(before)
            }
            _ => Some(newest),
        }
    }

    fn answer(&mut self, owner: OwnerId, request_id: u64, reply: Reply) {
        if self.is_deaf(owner) {
            return;
        }
        let latency = self.rng.between(1, 8);
        let of = &mut self.owners[owner];
        let connection = of.connection;
        let at = of.last_reply_at.max(self.now + latency);
        of.last_reply_at = at;
        let event = OwnerEvent::Reply { connection, request_id, reply };
        self.at(at - self.now, Event::Owner(owner, event));
    }

    // Owners.

    pub fn elect(&mut self, lane: u16, forced: bool) {
        if self.incidents.contains_key(&lane) {
            return;
        }
        let Some(revision) = self.recorded_for(lane) else { return };
        let of_partition =
            || self.owners.iter().filter(|owner| owner.lane == lane && owner.life != Life::Dead);
        let awake = of_partition().any(|owner| owner.life == Life::Awake);
        if of_partition().count() >= 3 || (awake && !forced) {
            return;
        }
        let taken: BTreeSet<_> = of_partition().map(|owner| owner.node).collect();
        let free: Vec<_> = (0..NODES).filter(|node| !taken.contains(node)).collect();
        let node = free[self.rng.below(free.len() as u64) as usize];
        self.start_owner_by(lane, node, revision);
    }

    pub fn resume(&mut self, id: OwnerId) {
        let owner = &mut self.owners[id];
        if owner.life == Life::Paused {
            owner.life = Life::Awake;
            for event in std::mem::take(&mut owner.held) {
                self.at(0, Event::Owner(id, event));
            }
        }
    }

    pub fn kill(&mut self, id: OwnerId) {
        self.owners[id].life = Life::Dead;
        let lane = self.owners[id].lane;
        if self.node_at(self.owners[id].node).is_some() {
            return self.owner_ended(self.owners[id].node, lane);
        }
        let delay = self.rng.between(5, 300);
        self.at(delay, Event::Elect { lane, forced: false });
    }

    pub fn pick(&mut self, life: Life) -> Option<OwnerId> {
        let ids: Vec<_> =
            (0..self.owners.len()).filter(|&id| self.owners[id].life == life).collect();
        (!ids.is_empty()).then(|| ids[self.rng.below(ids.len() as u64) as usize])
    }

    // Checkpoints and trimming.

    fn checkpoint(&mut self) {
        self.at(self.plan.checkpoint_every_ms, Event::Checkpoint);
        if !self.plan.checkpoints {
            return;
        }
        for id in 0..self.owners.len() {
            if !self.owners[id].is_running() || self.rng.chance(300) {
                continue;
            }
            let (lane, node) = (self.owners[id].lane, self.owners[id].node);
            let operator = self.owners[id].machine.operator_mut();
            operator.persist(true);
            let database = operator.database.clone();
            self.disks.insert((lane, node), database.clone());
            let upload = self.rng.between(5, 300);
            self.at(upload, Event::CheckpointStored { owner: id, database });
        }
    }

    fn store_checkpoint(&mut self, id: OwnerId, database: Database) {
        if database.local.redo_from.number == CommitNumber(0) {
            return;
        }
        let lane = self.owners[id].lane;
        if self.cluster.is_some() {
            if self.owners[id].life == Life::Dead {
                return;
            }
            if self.owners[id].life == Life::Paused || self.is_mute(id) {
                return self.at(50, Event::CheckpointStored { owner: id, database });
            }
            let newest = self.tail_of(lane).map(|record| record.header.generation);
            if newest > Some(self.owners[id].machine.generation()) {
                self.fire(Fault::FormerCheckpoint);
            }
        }
        let own = &mut self.owners[id].kept;
        own.push_back(database.local.redo_from.sequence);
        if own.len() > KEPT {
            own.pop_front();
        }
        let kept = self.checkpoints.entry(lane).or_default();
        kept.push(database);
        if self.bug != Some(Bug::CheckpointsByArrival) {
            kept.sort_by_key(|database| database.local.redo_from.number);
        }
        if kept.len() > KEPT {
            kept.remove(0);
        }
    }

    fn trim(&mut self) {
        self.at(150, Event::Trim);
        let lanes = self.current().all();
        let needs: Vec<_> = lanes.clone().map(|lane| self.needs(lane)).collect();
        if let Some(floor) = floor(&needs)
            && let Some(below) = next_purge(self.log.first(lanes.clone()), floor.keep_from)
            && self.log.purge(lanes.clone(), below)
        {
            self.fire(Fault::Trimmed);
            if matches!(floor.held_by, HeldBy::Downstream) {
                self.fire(Fault::HeldDownstream);
            }
            for lane in lanes {
                self.check_anchors(lane);
            }
        }
        let anchors: Vec<_> = to_anchor(&needs, self.log.end(), ANCHOR_RECORDS).collect();
        for lane in anchors {
            for id in 0..self.owners.len() {
                let owner = &self.owners[id];
                if owner.lane == lane && owner.is_running() && !self.rests(id) {
                    self.fire(Fault::Anchored);
                    self.drive(id, Input::Anchor);
                }
            }
        }
    }

    fn needs(&self, lane: u16) -> Needs {
        let last = self.log.last_of(lane);
        let last_record = last.as_ref().map_or(Sequence(0), |last| last.sequence);
        let kept = self.checkpoints.get(&lane).and_then(|kept| kept.first());
        let mut checkpoint = kept.map(|database| database.local.redo_from.sequence);
        if self.bug == Some(Bug::TrimForgetsCheckpoints) && checkpoint.is_some() {
            checkpoint = Some(last_record);
        }
        let record = self.tail_of(lane);
        let mut egress = Vec::new();
        if let Some(record) = record
            && self.bug != Some(Bug::TrimForgetsEgress)
        {
            egress.extend(record.egress.iter().map(|cursor| (cursor.sink, cursor.read_from)));
        }
        let mut downstream = self.needed_downstream(lane);
        if self.bug == Some(Bug::TrimForgetsDownstream) {
            downstream.clear();
        }
        Needs { partition: lane, last_record, checkpoint, egress, downstream, audit: None }
    }

    // The end.

    fn check(&mut self) {
        self.at(40, Event::Check);
        if !self.is_calm() {
            return;
        }
        if self.cluster.is_some() {
            self.calm_nodes();
            self.stir_former_owners();
        } else {
            for id in 0..self.owners.len() {
                self.resume(id);
            }
            self.calm_rescaling();
        }
        self.log.full = false;
        let all_done = self.current().all().all(|lane| self.is_done(lane)) && self.is_rescaled();
        let produced = self.source.history.len() as u64 >= self.plan.records;
        self.done = produced && all_done;
        if !all_done && self.part != Part::Draining && self.cluster.is_none() {
            for lane in self.current().all() {
                self.elect(lane, false);
            }
        }
    }

    /// A former owner that has nothing to do hears of its successor only when it commits. Trimming would make it, or input.
    pub fn stir_former_owners(&mut self) {
        for id in 0..self.owners.len() {
            if self.owners[id].is_running() && !self.is_newest(id) {
                self.drive(id, Input::Anchor);
            }
        }
    }

    /// Whether the last record of an owner's lane is not of a later owner.
    pub fn is_newest(&self, id: OwnerId) -> bool {
        let newest = self.tail_of(self.owners[id].lane).map(|record| record.header.generation);
        newest <= Some(self.owners[id].machine.generation())
    }

    fn is_done(&self, lane: u16) -> bool {
        if self.incidents.contains_key(&lane) {
            return true;
        }
        let of_partition = |owner: &&Owner| owner.lane == lane;
        let alive =
            self.owners.iter().filter(of_partition).filter(|owner| owner.life != Life::Dead);
        if let Part::Draining = self.part {
            return alive.filter(|owner| owner.asked_to_drain).count() == 0;
        }
        let newest = alive.max_by_key(|owner| owner.machine.generation());
        newest.is_some_and(|owner| {
            owner.is_running() && owner.is_settled() && self.has_all(lane, owner)
        })
    }

    /// Whether an owner has committed everything that its inputs have.
    fn has_all(&self, lane: u16, owner: &Owner) -> bool {
        let Some(record) = self.tail_of(lane) else { return false };
        let read = record.slice.position(SourceId(0)).map_or(0, |position| position.sequence.0);
        let of_source = !self.lives.topology(lane).reads_source(lane) || read == self.source.last;
        of_source
            && owner.machine.positions() == owner.machine.operator().positions()
            && self.has_read_all(owner)
    }

    /// Whether nothing that an owner sends arrives.
    pub fn is_mute(&self, id: OwnerId) -> bool {
        self.node_at(self.owners[id].node).is_some_and(|node| node.mute)
    }

    /// Whether nothing arrives at an owner.
    pub fn is_deaf(&self, id: OwnerId) -> bool {
        self.node_at(self.owners[id].node).is_some_and(|node| node.deaf)
    }

    /// What the clock of an owner's node says.
    pub fn wall(&self, id: OwnerId) -> i64 {
        self.node_at(self.owners[id].node).map_or(self.now, |node| node.clock(self.now))
    }

    /// Whether a message is a takeover, for the count of those that had to be made anew.
    pub fn is_takeover(message: &[u8]) -> bool {
        decode_header_of(message).is_ok_and(|header| header.kind == CommitKind::Takeover)
    }
}
