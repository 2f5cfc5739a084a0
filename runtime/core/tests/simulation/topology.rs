//! The stages of a run: which reads what, how many partitions each has, and what it does.
//!
//! A *lane* is one partition of one stage; lanes are numbered through all stages, and the log has a
//! subject for each.

use millstream_core::exchange::Ordering;
use millstream_core::ids::{key_hash, partition_of};
use millstream_core::outputs::DEAD_LETTER;

use crate::reference::{EXPIRED, RESULT};
use crate::rng::Rng;
use crate::servers::source::Record;

/// Length of a window of [`Job::Window`], milliseconds.
const WINDOW_MS: i64 = 500;
/// How long behind its end a window fires, milliseconds: longer than any record is late.
const GRACE_MS: i64 = 1_500;

/// What an input of a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The source stream; only as the first input.
    Source,
    /// An output of another stage.
    Stage { stage: usize, output: u8 },
}

/// What a stage does with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Counts and sums per key, with a timer that later records move: depends on the order of records.
    Count,
    /// Counts and sums per key and window of event time: does not.
    Window,
}

#[derive(Clone, Debug)]
pub struct Stage {
    pub partitions: u16,
    pub keys: u64,
    pub inputs: Vec<From>,
    pub job: Job,
    /// Whether its outputs also go to sinks.
    pub published: bool,
}

#[derive(Clone, Debug)]
pub struct Topology {
    pub stages: Vec<Stage>,
    /// Number of the first lane.
    pub first: u16,
}

impl Topology {
    /// One stage over the source.
    pub fn single(partitions: u16, keys: u64) -> Self {
        let inputs = vec![From::Source];
        let stage = Stage { partitions, keys, inputs, job: Job::Count, published: true };
        Self { stages: vec![stage], first: 0 }
    }

    /// Two or three stages.
    pub fn draw(rng: &mut Rng) -> Self {
        let source = || vec![From::Source];
        let of = |stage, output| From::Stage { stage, output };
        let any = |rng: &mut Rng, stage| of(stage, if rng.chance(600) { RESULT } else { EXPIRED });
        let inputs = match rng.below(10) {
            // A chain.
            0 | 1 => vec![source(), vec![any(rng, 0)]],
            2 | 3 => vec![source(), vec![of(0, RESULT)], vec![any(rng, 1)]],
            // One output that feeds two stages.
            4 => vec![source(), vec![of(0, RESULT)], vec![of(0, RESULT)]],
            // Two stages that feed one.
            5 => vec![source(), source(), vec![of(0, RESULT), any(rng, 1)]],
            // Two outputs of one stage that feed another, which is ordered by time only.
            6..=8 => vec![source(), vec![of(0, RESULT), of(0, EXPIRED)], vec![any(rng, 1)]],
            // A stage and what it read itself.
            _ => vec![source(), vec![of(0, RESULT)], vec![any(rng, 0), of(1, RESULT)]],
        };
        let mut topology = Self { stages: Vec::new(), first: 0 };
        for inputs in inputs {
            let job = topology.job(&inputs);
            topology.stages.push(Stage {
                partitions: rng.between(1, 3) as u16,
                keys: rng.between(1, 9) as u64,
                inputs,
                job,
                published: rng.chance(600),
            });
        }
        topology
    }

    /// A job whose results do not depend on an order that nobody promises.
    fn job(&self, inputs: &[From]) -> Job {
        match *inputs {
            [From::Source] => Job::Count,
            [From::Stage { stage, output }]
                if self.ordering(stage) == Ordering::Sequence || output == EXPIRED =>
            {
                Job::Count
            }
            _ => Job::Window,
        }
    }

    /// What orders the causes of a stage's outputs.
    pub fn ordering(&self, stage: usize) -> Ordering {
        match self.stages[stage].inputs[..] {
            [From::Source] => Ordering::Sequence,
            [From::Stage { stage, .. }] => self.ordering(stage),
            _ => Ordering::Time,
        }
    }

    /// Whether other stages read it.
    pub fn feeds(&self, stage: usize) -> bool {
        self.readers(stage).next().is_some()
    }

    /// The inputs that read a stage, as (stage, number of the input).
    pub fn readers(&self, from: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.stages.iter().enumerate().flat_map(move |(reader, stage)| {
            let reads =
                move |input: &From| matches!(input, From::Stage { stage, .. } if *stage == from);
            let inputs = stage.inputs.iter().enumerate();
            inputs.filter(move |(_, input)| reads(input)).map(move |(i, _)| (reader, i))
        })
    }

    /// Number of lanes.
    pub fn lanes(&self) -> u16 {
        self.stages.iter().map(|stage| stage.partitions).sum()
    }

    /// All lanes.
    pub fn all(&self) -> std::ops::Range<u16> {
        self.first..self.first + self.lanes()
    }

    pub fn lane(&self, stage: usize, partition: u16) -> u16 {
        let before = self.stages[..stage].iter().map(|stage| stage.partitions).sum::<u16>();
        self.first + before + partition
    }

    /// Stage and partition of a lane.
    pub fn at(&self, lane: u16) -> (usize, u16) {
        let mut partition = lane - self.first;
        for (stage, of) in self.stages.iter().enumerate() {
            if partition < of.partitions {
                return (stage, partition);
            }
            partition -= of.partitions;
        }
        unreachable!("lane {lane} of {:?}", self.all())
    }

    /// The lane of a stage that owns a key.
    pub fn owner_of(&self, stage: usize, key: &[u8]) -> u16 {
        self.lane(stage, partition_of(key_hash(key), self.stages[stage].partitions))
    }

    pub fn lanes_of(&self, stage: usize) -> std::ops::Range<u16> {
        let first = self.lane(stage, 0);
        first..first + self.stages[stage].partitions
    }

    pub fn reads_source(&self, lane: u16) -> bool {
        self.stages[self.at(lane).0].inputs[0] == From::Source
    }

    /// A record of the source as a stage reads it.
    pub fn source_record(&self, stage: usize, record: &Record) -> Record {
        let mut record = record.clone();
        if stage > 0 {
            record.key =
                format!("s{stage}-{}", record.amount % self.stages[stage].keys).into_bytes();
        }
        record
    }

    /// An output of another stage as a stage reads it. Its key depends on the payload alone, so that outputs of
    /// all keys and partitions meet in one key.
    pub fn stage_record(&self, stage: usize, event_time: i64, payload: &[u8]) -> Record {
        let hash = key_hash(payload);
        let number = (hash >> 20) % self.stages[stage].keys;
        let key = match self.stages[stage].job {
            Job::Count => format!("s{stage}-{number}"),
            Job::Window => format!("s{stage}-{}-{number}", event_time.div_euclid(WINDOW_MS)),
        };
        let (key, amount) = (key.into_bytes(), hash % 1_000);
        Record { key, amount, event_time, time_ns: 0, excluded: false }
    }

    /// The outputs of a stage that go to a sink.
    pub fn outputs_to(&self, stage: usize, sink: usize) -> Vec<u8> {
        match (self.stages[stage].published, sink) {
            (false, _) => vec![],
            (true, 0) => vec![RESULT],
            (true, _) => vec![EXPIRED, DEAD_LETTER],
        }
    }
}

/// When the window of an event time fires.
pub fn window_fires(event_time: i64) -> i64 {
    (event_time.div_euclid(WINDOW_MS) + 1) * WINDOW_MS + GRACE_MS
}
