//! One process that owns, or believes it owns, one partition: the edge that carries
//! out what the state machines of the core decide.

mod egress;

use std::collections::{BTreeMap, VecDeque};

use millstream_core::append::AppendReply;
use millstream_core::commit::{Compression, hash_of};
use millstream_core::ids::{CommitNumber, Incarnation, LogPoint, Sequence, SourceId};
use millstream_core::partition::{
    Action, Event as Input, Partition, PartitionConfig, SinkConfig, Stopped,
};
use millstream_core::recovery::{LocalState, decode, is_point};
use millstream_core::slice::{EgressCursor, SourcePosition};
use millstream_core::source::{
    Continuity, Delivery, SourcePolicy, StreamFacts, Verdict, never_read,
};
use millstream_core::trim::LogNeeds;

use crate::exchange::Reader;
use crate::faults::{Bug, Fault};
use crate::network::{Event, OwnerEvent, OwnerId, Reply, Request};
use crate::operator::{CountOperator, Database, Input as Queued, Role};
use crate::rescale::Barrier;
use crate::servers::source::{Pulled, Record};
use crate::world::{TIME_OUT_MS, World};

use self::egress::Way;

/// Inputs that an operator has queued before pulling pauses.
pub const QUEUE_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Awake,
    Paused,
    Dead,
}

pub struct Owner {
    pub lane: u16,
    pub node: u8,
    pub life: Life,
    pub machine: Partition<CountOperator>,
    pub stopped: Option<Stopped>,
    egress: Vec<Way>,
    reported: Vec<EgressCursor>,
    position: SourcePosition,
    pub continuity: Option<Continuity>,
    /// One per input that is another stage.
    pub readers: Vec<Reader>,
    consumer: u64,
    /// Consumer sequence of the last delivery that was looked at.
    delivered: u64,
    pub connection: u64,
    pending: BTreeMap<u64, Request>,
    /// What came while it was paused.
    pub held: Vec<OwnerEvent>,
    last_arrival_at: i64,
    pub last_reply_at: i64,
    takeover_expected: Option<Sequence>,
    wiped: u32,
    turn_due: bool,
    pub asked_to_drain: bool,
    /// What it tells who trims the log.
    pub said: LogNeeds,
    /// Redo points of the stored checkpoints that it knows of, oldest first.
    pub kept: VecDeque<Sequence>,
    /// There while it is brought to rest, or rests.
    pub barrier: Option<Barrier>,
    /// Whether it pulls from the source; not when it is at a barrier.
    pub reads: bool,
}

impl Owner {
    pub fn is_running(&self) -> bool {
        self.life == Life::Awake && self.machine.is_running()
    }

    pub fn is_settled(&self) -> bool {
        let idle = self.machine.operator().queue.is_empty() && !self.machine.wants_turn();
        idle && self.machine.is_settled() && self.egress.iter().all(Way::is_settled)
    }

    pub fn describe(&self) -> String {
        format!(
            "lane {} node {} {:?} running {} settled {} at {:?} positions {:?} cursors {:?} queue {} readers {:?} pending {:?}",
            self.lane,
            self.node,
            self.life,
            self.machine.is_running(),
            self.machine.is_settled(),
            self.machine.last(),
            self.machine.positions(),
            self.machine.cursors(),
            self.machine.operator().queue.len(),
            self.readers.iter().map(Reader::describe).collect::<Vec<_>>(),
            self.pending,
        )
    }
}

impl World {
    pub fn start_owner(&mut self, lane: u16, node: u8) {
        self.start_owner_by(lane, node, self.recorded().revision);
    }

    /// Starts an owner on a node that knows this revision of the pipeline's record.
    pub fn start_owner_by(&mut self, lane: u16, node: u8, revision: u64) {
        let mut database = self.disks.get(&(lane, node)).cloned().unwrap_or_default();
        if self.bug == Some(Bug::DatabaseNotChecked) {
            self.pretend(lane, &mut database.local);
        }
        if self.bug == Some(Bug::StaleDatabaseReused) {
            self.pretend_newest(lane, &mut database.local);
        }
        let operator = self.open_operator(lane, database);
        self.start_owner_with(lane, node, operator, revision);
    }

    pub fn open_operator(&mut self, lane: u16, database: Database) -> CountOperator {
        let seed = self.rng.next();
        let role = Role::of(self.lives.topology(lane), lane);
        CountOperator::open(role, database, crate::rng::Rng::new(seed), self.bug)
    }

    /// Starts an owner with what an operator has.
    pub fn start_owner_with(
        &mut self,
        lane: u16,
        node: u8,
        operator: CountOperator,
        revision: u64,
    ) {
        let wiped = operator.wiped;
        let sink = |sink| SinkConfig {
            sink,
            duplicate_window_ms: self.plan.duplicate_window_ms,
            sequence_at_start: Sequence(0),
        };
        let config = PartitionConfig {
            pipeline: self.lives.pipeline(lane),
            owner: Incarnation(self.rng.wide()),
            module: [7; 32],
            commit_bytes_max: self.plan.commit_bytes_max,
            compression: if self.rng.chance(500) { Compression::Lz4 } else { Compression::Off },
            sinks: vec![sink(0), sink(1)],
            quiet_commit_ms: self.plan.quiet_commit_ms,
            backlog_bytes_max: 2_000,
        };
        let mut machine = Partition::new(config, operator);
        machine.runs_by(revision);
        let mut actions = Vec::new();
        machine.start(&mut actions);
        let kept = self.checkpoints.get(&lane).into_iter().flatten();
        let kept = kept.map(|database| database.local.redo_from.sequence).collect();
        self.owners.push(Owner {
            lane,
            node,
            life: Life::Awake,
            machine,
            stopped: None,
            egress: Vec::new(),
            reported: Vec::new(),
            position: never_read(SourceId(0), Sequence(0)),
            continuity: None,
            readers: Vec::new(),
            consumer: 0,
            delivered: 0,
            connection: 0,
            pending: BTreeMap::new(),
            held: Vec::new(),
            last_arrival_at: 0,
            last_reply_at: 0,
            takeover_expected: None,
            wiped,
            turn_due: false,
            asked_to_drain: false,
            said: LogNeeds::default(),
            kept,
            barrier: None,
            reads: true,
        });
        let id = self.owners.len() - 1;
        self.perform(id, actions);
        self.at(20, Event::Owner(id, OwnerEvent::Tick));
    }

    /// A planted bug: claims that a database below the beginning of the log is at its beginning.
    fn pretend(&self, lane: u16, local: &mut LocalState) {
        let known = |point: &LogPoint| is_point(point, self.log.at(lane, point.sequence).as_ref());
        if local.newest.number == CommitNumber(0)
            || (known(&local.redo_from) && known(&local.newest))
        {
            return;
        }
        if let Some(first) = self.log.from(lane, Sequence(0), 1).first() {
            let header = millstream_core::commit::decode_header_of(&first.message).unwrap();
            let point = LogPoint {
                number: header.number,
                hash: hash_of(&first.message),
                sequence: first.sequence,
            };
            *local = LocalState { redo_from: point, newest: point };
        }
    }

    /// A planted bug: claims that a database that was left behind is what the log has come to.
    fn pretend_newest(&self, lane: u16, local: &mut LocalState) {
        if let Some(last) = self.log.last_of(lane).filter(|_| local.newest.number.0 > 0) {
            let header = millstream_core::commit::decode_header_of(&last.message).unwrap();
            let (number, hash) = (header.number, hash_of(&last.message));
            let point = LogPoint { number, hash, sequence: last.sequence };
            *local = LocalState { redo_from: point, newest: point };
        }
    }

    pub fn owner_event(&mut self, id: OwnerId, event: OwnerEvent) {
        match self.owners[id].life {
            Life::Dead => return,
            Life::Paused => return self.owners[id].held.push(event),
            Life::Awake => {}
        }
        match event {
            OwnerEvent::Reply { connection, request_id, reply } => {
                let owner = &mut self.owners[id];
                if connection == owner.connection && owner.pending.remove(&request_id).is_some() {
                    self.on_reply(id, reply);
                }
            }
            OwnerEvent::TimeOut { request_id } => {
                if let Some(request) = self.owners[id].pending.remove(&request_id) {
                    self.on_silence(id, request);
                }
            }
            OwnerEvent::Send(request) => self.send(id, request),
            OwnerEvent::Tick => {
                let delay = self.rng.between(15, 40);
                self.at(delay, Event::Owner(id, OwnerEvent::Tick));
                self.drive(id, Input::Tick);
            }
            OwnerEvent::Turn => {
                self.owners[id].turn_due = false;
                self.drive(id, Input::Tick);
            }
        }
    }

    /// The connection breaks: what is under way in either direction is lost.
    pub fn disconnect(&mut self, id: OwnerId) {
        let owner = &mut self.owners[id];
        owner.connection += 1;
        if owner.life == Life::Awake {
            for (_, request) in std::mem::take(&mut owner.pending) {
                self.on_silence(id, request);
            }
        }
    }

    /// No answer came.
    fn on_silence(&mut self, id: OwnerId, request: Request) {
        match request {
            Request::Append { .. } => self.drive(id, Input::Append(AppendReply::Unknown)),
            Request::Publish { sink, publication } => {
                self.owners[id].egress[sink].deduplicated().failed(publication.ticket);
                self.pump(id);
            }
            Request::PublishBatch { sink, .. } => self.batch_published(id, sink, None),
            other => self.send(id, other),
        }
    }

    fn send(&mut self, id: OwnerId, request: Request) {
        if let Request::Commits { reader, partition, lane } = request
            && let Some(commits) = self.commits_here(id, reader, partition, lane)
        {
            return self.take_commits(id, reader, partition, commits);
        }
        if self.now < self.broker_up_at {
            let wait = self.broker_up_at - self.now;
            return self.at(wait, Event::Owner(id, OwnerEvent::Send(request)));
        }
        let request_id = self.rng.next() >> 8;
        let latency = self.rng.between(1, 8);
        let owner = &mut self.owners[id];
        owner.pending.insert(request_id, request.clone());
        let mut connection = Some(owner.connection);
        let mut arrival = owner.last_arrival_at.max(self.now + latency);
        if self.is_mute(id) {
            return self.at(TIME_OUT_MS, Event::Owner(id, OwnerEvent::TimeOut { request_id }));
        }
        if matches!(request, Request::Append { .. }) {
            if self.bug == Some(Bug::AcknowledgedBeforeLanded) {
                let reply =
                    Reply::Append(AppendReply::Acknowledged(Sequence(self.log.end().0 + 1)));
                self.answer_at_once(id, request_id, reply);
            }
            if self.strikes(self.plan.append_lost) {
                self.fire(Fault::AppendLost);
                return self.at(TIME_OUT_MS, Event::Owner(id, OwnerEvent::TimeOut { request_id }));
            }
            if self.strikes(self.plan.append_delayed) {
                self.fire(Fault::AppendDelayed);
                connection = None;
                arrival = self.now + TIME_OUT_MS + self.rng.between(1, 400);
            } else {
                self.owners[id].last_arrival_at = arrival;
            }
        } else {
            self.owners[id].last_arrival_at = arrival;
        }
        self.at(arrival - self.now, Event::Arrives { owner: id, connection, request_id, request });
        self.at(TIME_OUT_MS, Event::Owner(id, OwnerEvent::TimeOut { request_id }));
    }

    fn answer_at_once(&mut self, id: OwnerId, request_id: u64, reply: Reply) {
        let connection = self.owners[id].connection;
        self.at(0, Event::Owner(id, OwnerEvent::Reply { connection, request_id, reply }));
    }

    fn on_reply(&mut self, id: OwnerId, reply: Reply) {
        match reply {
            Reply::Tail(tail) => self.drive(id, Input::Tail(tail)),
            Reply::Record(found) => self.drive(id, Input::Record(found)),
            Reply::Records(records) => self.drive(id, Input::Records(records)),
            Reply::Append(AppendReply::Refused) if self.bug == Some(Bug::FenceIgnored) => {
                let last = self
                    .log
                    .last_of(self.owners[id].lane)
                    .map_or(Sequence(0), |last| last.sequence);
                self.drive(id, Input::Append(AppendReply::Acknowledged(last)));
            }
            Reply::Append(reply) => self.drive(id, Input::Append(reply)),
            Reply::Restored(database) => {
                let found = database.is_some();
                if let Some(database) = database {
                    self.fire(Fault::Restored);
                    self.owners[id].machine.operator_mut().restore(database);
                }
                self.drive(id, Input::Restored { found });
            }
            Reply::Attached { facts, consumer } => self.attached(id, &facts, consumer),
            Reply::Pulled(pulled) => self.pulled(id, pulled),
            Reply::Commits { reader, partition, records, through } => {
                self.commits_read(id, reader, partition, (&records, through))
            }
            Reply::SinkRead { sink, ids } => self.sink_read(id, sink, &ids),
            Reply::Published { sink, ticket, sequence } => {
                self.owners[id].egress[sink].deduplicated().acknowledged(ticket, sequence);
                self.pump(id);
            }
            Reply::BatchPublished { sink, sequence } => self.batch_published(id, sink, sequence),
            Reply::RecordRead { sink, asked_at_ms, record } => {
                self.record_read(id, sink, asked_at_ms, record.as_ref());
            }
        }
    }

    /// Hands an event to the partition and does what it wants.
    pub fn drive(&mut self, id: OwnerId, input: Input) {
        if self.owners[id].life != Life::Awake {
            return;
        }
        let mut actions = Vec::new();
        let now = self.wall(id);
        self.owners[id].machine.handle(now, input, &mut actions);
        self.perform(id, actions);
        self.pump(id);
        let owner = &mut self.owners[id];
        let wiped = owner.machine.operator().wiped;
        if wiped > owner.wiped {
            owner.wiped = wiped;
            let disk = (owner.lane, owner.node);
            self.disks.remove(&disk);
        }
        let owner = &mut self.owners[id];
        if owner.life == Life::Awake && owner.machine.wants_turn() && !owner.turn_due {
            owner.turn_due = true;
            let number = self.owners[id].machine.last().number.0;
            self.note(number);
            self.at(1, Event::Owner(id, OwnerEvent::Turn));
        }
    }

    fn perform(&mut self, id: OwnerId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::ReadTail => self.send(id, Request::Tail),
                Action::Append { message, expected, delay_ms } => {
                    self.count_moved(id, &message, expected);
                    self.send_later(id, delay_ms, Request::Append { message, expected });
                }
                Action::TakenOver { point, cursors, confirmed_at_ms, .. } => {
                    let (node, lane) = (self.owners[id].node, self.owners[id].lane);
                    let before = self.log.last_but_one_of(lane);
                    let before =
                        before.and_then(|before| decode(&before, self.lives.pipeline(lane)).ok());
                    if before.is_some_and(|before| before.slice.seal.is_some()) {
                        self.fire(Fault::SealVoid);
                    }
                    self.reaches_here(node, lane, point);
                    self.open_egress(id, &cursors, point.number, confirmed_at_ms)
                }
                Action::ReadRecord { sequence } => self.send(id, Request::Record(sequence)),
                Action::ReadRecords { from, delay_ms } => {
                    self.send_later(id, delay_ms, Request::Records(from))
                }
                Action::Wiped { .. } => self.fire(Fault::Wiped),
                Action::Restore => self.send(id, Request::Restore),
                Action::Running { positions, upstream } => {
                    if self.lives.topology(self.owners[id].lane).reads_source(self.owners[id].lane)
                    {
                        let read = positions.first().filter(|p| p.stream_created_ns != 0);
                        if let Some(&position) = read {
                            self.owners[id].position = position;
                        }
                        self.attach(id);
                    }
                    self.start_readers(id, &positions, &upstream);
                }
                Action::Committed { point, outputs, exchange, confirmed_at_ms } => {
                    let (node, lane) = (self.owners[id].node, self.owners[id].lane);
                    self.committed_here(node, lane, point, outputs.clone(), exchange);
                    self.says_of(id, point);
                    self.offer(id, point, &outputs, confirmed_at_ms);
                    if self.bug == Some(Bug::CursorAhead) {
                        self.claim_published(id, point, outputs.count());
                    }
                    self.persist(id);
                }
                Action::Stopped(stopped) => self.stopped(id, stopped),
            }
        }
    }

    pub fn send_later(&mut self, id: OwnerId, delay_ms: u64, request: Request) {
        if delay_ms == 0 {
            self.send(id, request);
        } else {
            self.at(delay_ms as i64, Event::Owner(id, OwnerEvent::Send(request)));
        }
    }

    fn count_moved(&mut self, id: OwnerId, message: &[u8], expected: Sequence) {
        if World::is_takeover(message) {
            let before = self.owners[id].takeover_expected.replace(expected);
            if before.is_some_and(|before| before != expected) {
                self.fire(Fault::TakeoverMoved);
            }
        }
    }

    /// What the log must keep for an owner, as of its last commit.
    fn says_of(&mut self, id: OwnerId, point: LogPoint) {
        let owner = &mut self.owners[id];
        owner.said = LogNeeds {
            last: point.sequence,
            checkpoint: None,
            egress: owner.machine.sinks_need().unwrap_or(point.sequence),
            upstream: owner.machine.upstream().to_vec(),
        };
    }

    fn stopped(&mut self, id: OwnerId, stopped: Stopped) {
        let lane = self.owners[id].lane;
        self.note(lane.into());
        match &stopped {
            Stopped::Fenced { .. } => self.met_seal(lane),
            Stopped::Drained => {}
            Stopped::Incident(incident) => {
                use millstream_core::incident::Incident as I;
                let of_source = matches!(
                    incident,
                    I::SourceGap { .. } | I::SourceRecreated { .. } | I::SourceRolledBack { .. }
                );
                if !(of_source && self.source_broken) {
                    self.failure =
                        Some(format!("lane {lane}, owner {id}: unexpected incident: {incident}"));
                }
                self.incidents.insert(lane, incident.clone());
            }
            Stopped::Halted(halt) => self.failure = Some(format!("owner {id} halted: {halt}")),
        }
        self.owners[id].stopped = Some(stopped);
        self.kill(id);
    }

    /// Writes behind: some entries to the database, and sometimes what it has to the disk.
    fn persist(&mut self, id: OwnerId) {
        if !self.owners[id].machine.is_running() || !self.rng.chance(300) {
            return;
        }
        let flush = self.rng.chance(500);
        let keep = self.rng.chance(150);
        let owner = &mut self.owners[id];
        let operator = owner.machine.operator_mut();
        operator.persist(false);
        if flush {
            let disk = (owner.lane, owner.node);
            if keep && let Some(old) = self.disks.get(&disk) {
                self.old_copies.insert(disk, old.clone());
            }
            self.disks.insert(disk, operator.database.clone());
        }
    }

    // The source.

    pub fn attach(&mut self, id: OwnerId) {
        let owner = &mut self.owners[id];
        if let Some(continuity) = &owner.continuity {
            owner.position = *continuity.position();
        }
        if self.bug == Some(Bug::IdentityNotChecked) {
            owner.position.stream_created_ns = 0;
            owner.position.last_sequence = Sequence(0);
        }
        let position = &owner.position;
        let request = Request::Attach {
            last_read: position.last_sequence,
            start: Sequence(position.sequence.0 + 1),
        };
        self.send(id, request);
    }

    fn attached(&mut self, id: OwnerId, facts: &StreamFacts, consumer: u64) {
        let policy = SourcePolicy { filtered: self.plan.filtered, skip_gaps: false };
        let owner = &mut self.owners[id];
        match Continuity::attach(policy, owner.position, facts) {
            Ok(continuity) => {
                owner.continuity = Some(continuity);
                owner.consumer = consumer;
                owner.delivered = 0;
                self.send(id, Request::Pull { consumer });
            }
            Err(incident) => self.drive(id, Input::Incident(incident)),
        }
    }

    fn pulled(&mut self, id: OwnerId, pulled: Pulled) {
        let verdict = match pulled {
            Pulled::NoConsumer => return self.attach(id),
            Pulled::Records { batch, first } => self.take(id, batch, first),
            Pulled::Nothing { delivered, last, first } => {
                let bug =
                    matches!(self.bug, Some(Bug::EmptyPullBelieved | Bug::ContinuityNotChecked));
                let owner = &mut self.owners[id];
                let delivered = if bug { owner.delivered } else { delivered };
                let last = owner.barrier.as_ref().map_or(last, |barrier| last.min(barrier.at));
                let Some(continuity) = &mut owner.continuity else { return };
                match continuity.first_is(first) {
                    Ok(()) => {
                        let verdict = continuity.caught_up(delivered, last);
                        let position = *continuity.position();
                        let stops =
                            owner.barrier.as_ref().is_some_and(|b| position.sequence >= b.at);
                        owner.reads &= !(stops && verdict == Verdict::Take);
                        owner.machine.operator_mut().queue.push_back(Queued::Scanned(position));
                        verdict
                    }
                    Err(incident) => Verdict::Incident(incident),
                }
            }
        };
        match verdict {
            Verdict::Recreate { .. } => self.attach(id),
            Verdict::Incident(incident) => self.drive(id, Input::Incident(incident)),
            Verdict::Take | Verdict::Drop if !self.owners[id].reads => {}
            Verdict::Take | Verdict::Drop => {
                let full = self.owners[id].machine.operator().queue.len() > QUEUE_MAX;
                let delay = if full { 40 } else { self.rng.below(20) };
                let consumer = self.owners[id].consumer;
                self.send_later(id, delay, Request::Pull { consumer });
            }
        }
        self.drive(id, Input::Input);
    }

    fn take(&mut self, id: OwnerId, batch: Vec<(Delivery, Record)>, first: Sequence) -> Verdict {
        let bug = self.bug;
        let owner = &mut self.owners[id];
        let topology = self.lives.topology(owner.lane);
        let (stage, _) = topology.at(owner.lane);
        let Some(continuity) = &mut owner.continuity else { return Verdict::Drop };
        if self.plan.filtered
            && let Err(incident) = continuity.first_is(first)
        {
            return Verdict::Incident(incident);
        }
        for (mut delivery, record) in batch {
            if let Some(barrier) = owner.barrier.as_ref()
                && delivery.stream_sequence > barrier.at
                && delivery.consumer_sequence == owner.delivered + 1
            {
                // Nothing lies between the last one and this.
                let verdict = continuity.caught_up(owner.delivered, barrier.at);
                let position = *continuity.position();
                owner.machine.operator_mut().queue.push_back(Queued::Scanned(position));
                owner.reads = false;
                return verdict;
            }
            if bug == Some(Bug::ContinuityNotChecked) {
                delivery.consumer_sequence = owner.delivered + 1;
            }
            let verdict = continuity.deliver(&delivery);
            match verdict {
                Verdict::Take => {}
                Verdict::Drop if bug == Some(Bug::DuplicatesApplied) => {}
                Verdict::Drop => {
                    owner.delivered = delivery.consumer_sequence;
                    continue;
                }
                other => return other,
            }
            owner.delivered = delivery.consumer_sequence;
            let record = topology.source_record(stage, &record);
            let own = topology.owner_of(stage, &record.key) == owner.lane;
            let position = *continuity.position();
            owner.machine.operator_mut().queue.push_back(Queued::Record { position, record, own });
        }
        Verdict::Take
    }
}
