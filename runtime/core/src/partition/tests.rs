//! What the simulation does not single out: each transition by itself.

use super::*;
use crate::commit::{CommitHeader, CommitKind, decode_header_of, hash_of};
use crate::delta::DeltaOp;
use crate::seal::{Rest, Seal, Sealing, sealing};
use crate::slice::OutputPoint;

/// Emits one output for each queued byte.
#[derive(Debug, Default)]
struct Echo {
    queue: VecDeque<u8>,
    halt: Option<Halt>,
    full_at: Option<usize>,
    /// What it tells the stages that read it.
    told: Option<Exchange>,
    local: Option<LocalState>,
    redone: Vec<u64>,
    acknowledged: Vec<u64>,
    wiped: bool,
}

impl Operator for Echo {
    fn local(&self) -> Option<LocalState> {
        self.local
    }

    fn wipe(&mut self) {
        self.wiped = true;
        self.local = None;
        self.redone.clear();
    }

    fn redo(&mut self, _: &CommitRecord, point: LogPoint) -> Result<(), Incident> {
        self.redone.push(point.number.0);
        Ok(())
    }

    fn compute(&mut self, _: CommitNumber, _: usize, slice: &mut Slice) -> Result<Computed, Halt> {
        slice.exchange.clone_from(&self.told);
        if self.full_at.is_some_and(|full| slice.outputs.count() as usize >= full) {
            return Ok(Computed::Full);
        }
        let Some(byte) = self.queue.pop_front() else {
            return self.halt.take().map_or(Ok(Computed::Nothing), Err);
        };
        slice.delta.push(&DeltaOp::Value { state: 0, key: &[byte], value: Some(&[byte]) });
        slice.outputs.push(0, &[byte], 0, &[byte]);
        Ok(Computed::Some)
    }

    fn acknowledged(&mut self, point: LogPoint) {
        self.acknowledged.push(point.number.0);
    }
}

const WINDOW_MS: i64 = 4_000;

fn config(owner: u128) -> PartitionConfig {
    PartitionConfig {
        pipeline: Incarnation(1),
        owner: Incarnation(owner),
        module: [0; 32],
        commit_bytes_max: 2_000,
        compression: Compression::Off,
        sinks: vec![SinkConfig {
            sink: 0,
            duplicate_window_ms: WINDOW_MS,
            sequence_at_start: Sequence(0),
        }],
        quiet_commit_ms: 500,
        backlog_bytes_max: 1_000,
    }
}

/// A partition, and a log that answers it.
struct Bench {
    partition: Partition<Echo>,
    log: Vec<StoredRecord>,
    /// What is found when a checkpoint is asked for, one after the other.
    checkpoints: VecDeque<LocalState>,
    out: Vec<Action>,
}

impl Bench {
    fn new(log: Vec<StoredRecord>, operator: Echo) -> Self {
        let mut partition = Partition::new(config(9), operator);
        let mut out = Vec::new();
        partition.start(&mut out);
        Self { partition, log, checkpoints: VecDeque::new(), out }
    }

    /// One that runs by a revision of its pipeline's record, or does not know of it.
    fn recorded(log: Vec<StoredRecord>, revision: Option<u64>) -> Self {
        let mut partition = Partition::new(config(9), Echo::default());
        revision.inspect(|&revision| partition.runs_by(revision));
        let mut out = Vec::new();
        partition.start(&mut out);
        Self { partition, log, checkpoints: VecDeque::new(), out }
    }

    fn handle(&mut self, now_ms: i64, event: Event) {
        self.partition.handle(now_ms, event, &mut self.out);
    }

    /// Answers everything but appends behind the takeover, until there is nothing to answer.
    fn recover(&mut self) -> Option<Stopped> {
        while let Some(action) = (!self.out.is_empty()).then(|| self.out.remove(0)) {
            let answer = match action {
                Action::ReadTail => Event::Tail(self.log.last().cloned()),
                Action::Append { message, expected, .. } => {
                    Event::Append(self.append(message, expected))
                }
                Action::ReadRecord { sequence } => Event::Record(
                    self.log.iter().find(|stored| stored.sequence == sequence).cloned(),
                ),
                Action::ReadRecords { from, .. } => {
                    let records = self.log.iter().filter(|stored| stored.sequence >= from).take(2);
                    Event::Records(records.cloned().collect())
                }
                Action::Restore => {
                    self.partition.operator.local = self.checkpoints.pop_front();
                    Event::Restored { found: self.partition.operator.local.is_some() }
                }
                Action::Stopped(stopped) => return Some(stopped),
                _ => continue,
            };
            self.handle(0, answer);
        }
        None
    }

    fn append(&mut self, message: Bytes, expected: Sequence) -> AppendReply {
        let last = self.log.last().map_or(Sequence(0), |last| last.sequence);
        if last != expected {
            return AppendReply::Refused;
        }
        let sequence = Sequence(last.0 + 1);
        self.log.push(StoredRecord { sequence, message });
        AppendReply::Acknowledged(sequence)
    }

    /// Takes the append that was asked for and lands it.
    fn land(&mut self, now_ms: i64) -> CommitHeader {
        let (message, expected) = self.take_append().expect("an append");
        let header = decode_header_of(&message).unwrap();
        let reply = self.append(message, expected);
        self.handle(now_ms, Event::Append(reply));
        header
    }

    fn take_append(&mut self) -> Option<(Bytes, Sequence)> {
        let at = self.out.iter().position(|action| matches!(action, Action::Append { .. }))?;
        match self.out.remove(at) {
            Action::Append { message, expected, .. } => Some((message, expected)),
            _ => None,
        }
    }

    fn stopped(&self) -> Option<&Stopped> {
        self.out.iter().find_map(|action| match action {
            Action::Stopped(stopped) => Some(stopped),
            _ => None,
        })
    }

    fn feed(&mut self, now_ms: i64, bytes: &[u8]) {
        self.partition.operator.queue.extend(bytes);
        self.handle(now_ms, Event::Input);
        while self.partition.wants_turn() {
            self.handle(now_ms, Event::Tick);
        }
    }

    fn published(&mut self, now_ms: i64, commit: u64, count: u32) {
        let cursor = EgressCursor {
            sink: 0,
            through: OutputPoint { commit: CommitNumber(commit), count },
            read_from: Sequence(commit + 1),
            sink_sequence: Sequence(count.into()),
        };
        self.handle(now_ms, Event::Egress(EgressReport { cursor, published: true }));
    }
}

fn running() -> Bench {
    let mut bench = Bench::new(Vec::new(), Echo::default());
    assert_eq!(bench.recover(), None);
    assert!(bench.partition.is_running());
    assert_eq!(bench.partition.generation(), Generation(1));
    bench
}

/// A log of a takeover and two commits with one output each.
fn some_log() -> Vec<StoredRecord> {
    let mut bench = running();
    for byte in [1, 2] {
        bench.feed(0, &[byte]);
        bench.land(0);
    }
    bench.log
}

fn point_of(stored: &StoredRecord) -> LogPoint {
    let header = decode_header_of(&stored.message).unwrap();
    LogPoint { number: header.number, hash: hash_of(&stored.message), sequence: stored.sequence }
}

#[test]
fn the_next_slice_grows_while_one_commit_is_in_flight() {
    let mut bench = running();
    bench.feed(10, &[1]);
    bench.feed(20, &[2]);
    bench.feed(30, &[3, 4]);
    assert_eq!(bench.land(40).number, CommitNumber(2));
    let record = CommitRecord::decode(&bench.log[1].message).unwrap();
    assert_eq!((record.slice.outputs.count(), record.slice.processing_time), (1, 10));
    bench.land(50);
    let record = CommitRecord::decode(&bench.log[2].message).unwrap();
    assert_eq!((record.slice.outputs.count(), record.slice.processing_time), (3, 20));
    assert_eq!(record.header.prev_hash, hash_of(&bench.log[1].message));
    assert_eq!(bench.partition.operator.acknowledged, [2, 3]);
    assert!(bench.take_append().is_none());
}

#[test]
fn a_full_slice_waits_and_a_held_partition_reaches_a_boundary() {
    let mut bench = running();
    bench.partition.operator.full_at = Some(2);
    bench.feed(0, &[1]);
    bench.feed(0, &[2, 3, 4, 5]);
    assert_eq!(bench.partition.operator.queue.len(), 2, "one in flight, two computed");
    bench.partition.hold(true);
    assert!(!bench.partition.is_at_boundary());
    bench.land(1);
    assert!(bench.partition.is_at_boundary());
    bench.partition.set_module([5; 32]);
    assert_eq!(bench.land(2).module, [0; 32]);
    bench.partition.hold(false);
    bench.feed(3, &[]);
    assert_eq!(bench.land(4).module, [5; 32]);
}

#[test]
fn an_unanswered_append_is_repeated_with_the_same_bytes() {
    let mut bench = running();
    bench.feed(0, &[1]);
    let first = bench.take_append().unwrap();
    bench.handle(1, Event::Append(AppendReply::Unknown));
    assert!(matches!(bench.out.last(), Some(Action::Append { delay_ms: RETRY_MS_MIN, .. })));
    let second = bench.take_append().unwrap();
    assert_eq!(first, second);
    // The first one landed all the same.
    bench.append(first.0, first.1);
    let reply = bench.append(second.0, second.1);
    assert_eq!(reply, AppendReply::Refused);
    bench.handle(2, Event::Append(reply));
    let tail = bench.log.last().cloned();
    bench.handle(3, Event::Tail(tail));
    assert_eq!(bench.partition.operator.acknowledged, [2]);
    assert_eq!(bench.log.len(), 2);
}

#[test]
fn a_former_owner_stops_and_drops_what_it_computed() {
    let mut bench = running();
    bench.feed(0, &[1]);
    bench.feed(0, &[2]);
    let (message, expected) = bench.take_append().unwrap();
    let mut successor = Bench::new(bench.log.clone(), Echo::default());
    assert_eq!(successor.recover(), None);
    bench.log = successor.log;
    let reply = bench.append(message, expected);
    bench.handle(1, Event::Append(reply));
    let tail = bench.log.last().cloned();
    bench.handle(1, Event::Tail(tail));
    assert_eq!(bench.stopped(), Some(&Stopped::Fenced { by: Generation(2) }));
    assert!(bench.partition.operator.acknowledged.is_empty());
    assert!(bench.take_append().is_none());
}

/// A log that is sealed behind its last record for a switch based on revision 5.
fn sealed_log() -> Vec<StoredRecord> {
    let mut log = some_log();
    let last = log.last().unwrap();
    let rest = Rest { number: CommitNumber(3), hash: hash_of(&last.message) };
    let seal = Seal { life: Incarnation(70), revision: 5 };
    let Ok(Sealing::Append { message, expected }) =
        sealing(&seal, &rest, Incarnation(1), Some(last))
    else {
        panic!("the partition rests")
    };
    log.push(StoredRecord { sequence: Sequence(expected.0 + 1), message });
    log
}

#[test]
fn a_sealed_log_is_taken_over_once_the_record_was_written_anew() {
    for revision in [None, Some(4), Some(5)] {
        let mut bench = Bench::recorded(sealed_log(), revision);
        assert_eq!(bench.recover(), Some(Stopped::Fenced { by: Generation(2) }), "{revision:?}");
        assert_eq!(bench.log.len(), 4, "nothing is appended");
    }
    let mut bench = Bench::recorded(sealed_log(), Some(6));
    assert_eq!(bench.recover(), None);
    assert!(bench.partition.is_running());
    assert_eq!(bench.partition.generation(), Generation(3));
    let takeover = CommitRecord::decode(&bench.log[4].message).unwrap();
    assert_eq!(takeover.slice.seal, None, "it is over");
    bench.feed(0, &[7]);
    bench.land(0);
}

#[test]
fn a_seal_fences_the_owner_and_whoever_read_the_log_before_it() {
    let mut owner = running();
    owner.feed(0, &[1]);
    let (message, expected) = owner.take_append().unwrap();
    owner.log = sealed_log();
    let reply = owner.append(message, expected);
    owner.handle(1, Event::Append(reply));
    owner.handle(1, Event::Tail(owner.log.last().cloned()));
    assert_eq!(owner.stopped(), Some(&Stopped::Fenced { by: Generation(2) }));

    let mut late = Bench::new(some_log(), Echo::default());
    late.handle(0, Event::Tail(late.log.last().cloned()));
    let (message, expected) = late.take_append().unwrap();
    late.log = sealed_log();
    let reply = late.append(message, expected);
    late.handle(1, Event::Append(reply));
    late.handle(1, Event::Tail(late.log.last().cloned()));
    assert_eq!(late.stopped(), Some(&Stopped::Fenced { by: Generation(2) }));
}

#[test]
fn a_foreign_write_is_an_incident() {
    let mut bench = running();
    bench.feed(0, &[1]);
    let (message, expected) = bench.take_append().unwrap();
    let mut foreign = CommitRecord::decode(&message).unwrap();
    foreign.header.owner = Incarnation(77);
    let mut bytes = Vec::new();
    foreign.encode(Compression::Off, &mut bytes);
    bench.append(bytes.into(), expected);
    bench.handle(1, Event::Append(AppendReply::Refused));
    let tail = bench.log.last().cloned();
    bench.handle(1, Event::Tail(tail));
    let incident =
        Incident::ForeignWrite { sequence: Sequence(2), found: Generation(1), own: Generation(1) };
    assert_eq!(bench.stopped(), Some(&Stopped::Incident(incident)));
}

#[test]
fn empty_commits_carry_a_cursor_renew_an_anchor_and_confirm_the_owner() {
    let mut bench = running();
    bench.feed(0, &[1]);
    bench.land(0);
    // The sink lacks the output: the ownership is confirmed every quarter of the window.
    assert_eq!(bench.partition.wake_at(), Some(WINDOW_MS / 4));
    bench.handle(WINDOW_MS / 4, Event::Tick);
    bench.land(WINDOW_MS / 4);
    bench.published(1_200, 2, 1);
    assert_eq!(bench.partition.wake_at(), Some(1_200 + WINDOW_MS / 4));
    bench.handle(1_200 + WINDOW_MS / 4, Event::Tick);
    bench.land(1_200 + WINDOW_MS / 4);
    let record = CommitRecord::decode(&bench.log.last().unwrap().message).unwrap();
    assert_eq!(record.egress[0].through, OutputPoint { commit: CommitNumber(2), count: 1 });
    assert_eq!(bench.partition.wake_at(), None);
    bench.handle(9_999, Event::Anchor);
    bench.land(9_999);
    assert!(bench.take_append().is_none());
}

#[test]
fn the_log_is_kept_for_the_cursors_that_are_in_it() {
    let mut bench = running();
    bench.feed(0, &[1]);
    bench.published(1, 7, 1);
    bench.feed(2, &[2]);
    // The record that lands was made before the sink got anything.
    bench.land(3);
    assert_eq!(bench.partition.sinks_need(), Some(Sequence(0)));
    assert_eq!(bench.partition.cursors()[0].read_from, Sequence(8));
    bench.land(4);
    assert_eq!(bench.partition.sinks_need(), Some(Sequence(8)));
}

#[test]
fn a_sink_that_is_behind_stops_computing() {
    let mut bench = running();
    bench.partition.config.backlog_bytes_max = 10;
    bench.feed(0, &[1]);
    bench.land(0);
    bench.feed(0, &[2]);
    bench.land(0);
    bench.feed(0, &[3]);
    assert_eq!(bench.partition.operator.queue.len(), 1);
    bench.published(1, 3, 1);
    assert_eq!(bench.partition.operator.queue.len(), 0);
}

#[test]
fn draining_commits_publishes_and_records_the_cursor() {
    let mut bench = running();
    bench.feed(0, &[1]);
    bench.feed(0, &[2]);
    bench.handle(0, Event::Drain);
    bench.feed(0, &[3]);
    bench.land(0);
    bench.land(0);
    assert_eq!(bench.stopped(), None);
    bench.published(1, 3, 1);
    bench.land(1);
    assert_eq!(bench.stopped(), Some(&Stopped::Drained));
    assert_eq!(bench.partition.operator.queue, [3]);
    assert_eq!(bench.log.len(), 4);
}

#[test]
fn poison_is_stopped_at_and_a_fault_drops_the_slice() {
    let mut bench = running();
    bench.partition.operator.halt = Some(Halt::Poison("bad".into()));
    bench.feed(0, &[1, 2]);
    bench.handle(0, Event::Input);
    while bench.take_append_and_land() {}
    let commits = bench.log.len() as u64;
    assert!(commits > 1);
    bench.published(0, commits, 9);
    while bench.take_append_and_land() {}
    assert_eq!(bench.stopped(), Some(&Stopped::Halted(Halt::Poison("bad".into()))));

    let mut bench = running();
    bench.partition.operator.halt = Some(Halt::Fault("disk".into()));
    bench.handle(0, Event::Input);
    assert_eq!(bench.stopped(), Some(&Stopped::Halted(Halt::Fault("disk".into()))));
}

impl Bench {
    fn take_append_and_land(&mut self) -> bool {
        match self.take_append() {
            Some((message, expected)) => {
                let reply = self.append(message, expected);
                self.handle(0, Event::Append(reply));
                true
            }
            None => false,
        }
    }
}

#[test]
fn a_commit_above_the_limit_is_an_incident() {
    let mut bench = running();
    bench.partition.config.commit_bytes_max = 140;
    bench.feed(0, &[1]);
    let incident = bench.stopped().cloned();
    assert!(
        matches!(incident, Some(Stopped::Incident(Incident::CommitTooLarge { limit: 140, .. }))),
        "{incident:?}"
    );
}

#[test]
fn an_incident_of_a_source_is_confirmed_by_a_commit() {
    let lost = Incident::SourceGap {
        source_id: crate::ids::SourceId(0),
        from: Sequence(1),
        to: Sequence(2),
    };
    let mut bench = running();
    bench.feed(0, &[1]);
    bench.handle(0, Event::Incident(lost.clone()));
    bench.land(0);
    assert_eq!(bench.stopped(), None, "that append was sent before");
    bench.land(0);
    assert_eq!(bench.stopped(), Some(&Stopped::Incident(lost)));
}

#[test]
fn recovery_redoes_what_the_database_lacks() {
    let log = some_log();
    let database = LocalState { redo_from: point_of(&log[1]), newest: point_of(&log[2]) };
    for (local, redone) in [(None, vec![1, 2, 3, 4]), (Some(database), vec![3, 4])] {
        let mut bench = Bench::new(log.clone(), Echo { local, ..Echo::default() });
        assert_eq!(bench.recover(), None);
        assert!(bench.partition.is_running() && !bench.partition.operator.wiped);
        assert_eq!(bench.partition.operator.redone, redone);
        assert_eq!(bench.partition.generation(), Generation(2));
    }
}

#[test]
fn a_takeover_repeats_what_other_stages_were_told() {
    let told = Exchange { frontier: 7, idle: true, ..Exchange::default() };
    let mut first = Bench::new(Vec::new(), Echo { told: Some(told.clone()), ..Echo::default() });
    assert_eq!(first.recover(), None);
    first.feed(0, b"a");
    first.land(1);
    let exchange_of =
        |stored: &StoredRecord| CommitRecord::decode(&stored.message).unwrap().slice.exchange;
    assert_eq!(exchange_of(first.log.last().unwrap()), Some(told.clone()));
    let mut second = Bench::new(first.log, Echo::default());
    assert_eq!(second.recover(), None);
    assert_eq!(exchange_of(second.log.last().unwrap()), Some(told));
}

#[test]
fn a_database_of_another_history_is_wiped() {
    let log = some_log();
    let [first, second] = [point_of(&log[1]), point_of(&log[2])];
    let other = LogPoint { hash: hash_of(b"other"), ..second };
    let beyond = LogPoint { number: CommitNumber(9), ..second };
    for (redo_from, newest) in [(first, other), (other, other), (first, beyond), (second, first)] {
        let mut bench = Bench::new(
            log.clone(),
            Echo { local: Some(LocalState { redo_from, newest }), ..Echo::default() },
        );
        assert_eq!(bench.recover(), None);
        assert!(bench.partition.operator.wiped);
        assert_eq!(bench.partition.operator.redone, [1, 2, 3, 4]);
    }
}

#[test]
fn a_trimmed_log_needs_a_checkpoint_of_its_history() {
    let log = some_log();
    let cut = log[1..].to_vec();
    let mut bench = Bench::new(cut.clone(), Echo::default());
    let incident = Incident::NoCheckpoint { first: CommitNumber(2) };
    assert_eq!(bench.recover(), Some(Stopped::Incident(incident)));
}

#[test]
fn a_checkpoint_under_which_the_log_was_trimmed_is_followed_by_a_newer_one() {
    let mut bench = running();
    bench.feed(0, &[1]);
    bench.land(0);
    bench.published(0, 2, 1);
    bench.feed(0, &[2]);
    bench.land(0);
    let log = bench.log;
    let of = |stored: &StoredRecord| {
        let point = point_of(stored);
        LocalState { redo_from: point, newest: point }
    };
    let recover = |checkpoints: [LocalState; 2]| {
        let mut bench = Bench::new(log[1..].to_vec(), Echo::default());
        bench.checkpoints = checkpoints.into();
        (bench.recover(), bench.partition.operator.redone)
    };
    // The last one redone is the own takeover.
    assert_eq!(recover([of(&log[0]), of(&log[1])]), (None, vec![3, 4]));
    let (redo_from, newest) = (CommitNumber(1), CommitNumber(1));
    let incident = Incident::CheckpointNotInLog { redo_from, newest };
    let (stopped, _) = recover([of(&log[0]), of(&log[0])]);
    assert_eq!(stopped, Some(Stopped::Incident(incident)), "there is no newer one");
}

#[test]
fn a_broken_chain_is_an_incident() {
    let mut log = some_log();
    let mut record = CommitRecord::decode(&log[1].message).unwrap();
    record.slice.watermark = 5;
    let mut bytes = Vec::new();
    record.encode(Compression::Off, &mut bytes);
    log[1].message = bytes.into();
    let mut bench = Bench::new(log, Echo::default());
    let stopped = bench.recover();
    assert!(
        matches!(
            stopped,
            Some(Stopped::Incident(Incident::ChainBroken { number: CommitNumber(3), .. }))
        ),
        "{stopped:?}"
    );
}

#[test]
fn another_pipelines_log_is_not_touched() {
    let mut bench = Bench::new(some_log(), Echo::default());
    bench.partition.config.pipeline = Incarnation(2);
    let incident = Incident::ForeignPipeline { sequence: Sequence(3) };
    assert_eq!(bench.recover(), Some(Stopped::Incident(incident)));
    assert_eq!(bench.log.len(), 3);
}

#[test]
fn a_takeover_that_came_late_is_made_anew() {
    let log = some_log();
    let mut bench = Bench::new(log.clone(), Echo::default());
    bench.out.clear();
    bench.handle(0, Event::Tail(Some(log[1].clone())));
    assert_eq!(bench.recover(), None);
    assert!(bench.partition.is_running());
    let header = decode_header_of(&bench.log[3].message).unwrap();
    assert_eq!((header.kind, header.number), (CommitKind::Takeover, CommitNumber(4)));
}

#[test]
fn answers_nobody_waits_for_are_ignored() {
    let mut bench = running();
    let stray = bench.log[0].clone();
    bench.out.clear();
    for event in [
        Event::Tail(Some(stray.clone())),
        Event::Append(AppendReply::Acknowledged(Sequence(9))),
        Event::Record(Some(stray.clone())),
        Event::Records(vec![stray]),
        Event::Restored { found: true },
    ] {
        bench.handle(0, event);
    }
    assert!(bench.out.is_empty(), "{:?}", bench.out);
}
