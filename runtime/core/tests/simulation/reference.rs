//! The reference: the same jobs without a log, partitions, owners or faults. And the
//! jobs themselves, as far as both sides share them.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::exchange::Ordering;
use millstream_core::ids::WATERMARK_MIN;
use millstream_core::outputs::DEAD_LETTER;

use crate::servers::source::Record;
use crate::topology::{From, Job, Topology, window_fires};

/// Out-of-orderness bound of the source, milliseconds.
pub const BOUND_MS: i64 = 300;
/// A key that got a record whose amount divides by three expires that long after it.
pub const LIFE_MS: i64 = 700;

/// Outputs of the jobs.
pub const RESULT: u8 = 0;
pub const EXPIRED: u8 = 1;

pub fn is_poison(amount: u64) -> bool {
    amount % 17 == 16
}

pub fn sets_timer(amount: u64) -> bool {
    amount.is_multiple_of(3)
}

/// What [`Job::Count`] says of a record; the watermark before it is promised, too.
pub fn result(count: u64, sum: u64, watermark: i64) -> Vec<u8> {
    format!("{count} {sum} at {watermark}").into_bytes()
}

/// What [`Job::Window`] says of a record.
pub fn seen(record: &Record) -> Vec<u8> {
    format!("{} at {}", record.amount, record.event_time).into_bytes()
}

pub fn expired(time: i64, count: u64, sum: u64) -> Vec<u8> {
    format!("{time}: {count} {sum}").into_bytes()
}

pub fn dead_letter(record: &Record) -> Vec<u8> {
    format!("poison {} at {}", record.amount, record.event_time).into_bytes()
}

/// The state of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Count and sum.
    pub value: Option<(u64, u64)>,
    /// All amounts.
    pub list: Vec<u64>,
    pub timers: BTreeSet<i64>,
}

/// Per sink, per key, the payloads in order.
pub type Published = [BTreeMap<Vec<u8>, Vec<Vec<u8>>>; 2];

/// What a stage emits, in the order in which one partition would.
#[derive(Clone, Debug)]
enum Emitted {
    Output { output: u8, key: Vec<u8>, event_time: i64, payload: Vec<u8> },
    Advance(i64),
}

/// What a stage gets.
enum Element {
    Record(Record),
    Advance(i64),
}

/// What one stage must come to.
#[derive(Debug)]
pub struct Reference {
    pub state: BTreeMap<Vec<u8>, KeyState>,
    pub published: Published,
    /// Records per input.
    pub records: Vec<Vec<Record>>,
    pub watermark: i64,
    emitted: Vec<Emitted>,
}

impl Reference {
    /// Runs all stages over the records of the source.
    pub fn run_all<'a>(
        topology: &Topology,
        source: impl Iterator<Item = &'a Record> + Clone,
    ) -> Vec<Self> {
        let mut stages: Vec<Self> = Vec::new();
        for (stage, spec) in topology.stages.iter().enumerate() {
            let inputs = spec.inputs.iter().map(|input| match *input {
                From::Source => source_elements(topology, stage, source.clone()),
                From::Stage { stage: from, output } => {
                    let ordering = topology.ordering(from);
                    stages[from].read(output, ordering, |event_time, payload| {
                        topology.stage_record(stage, event_time, payload)
                    })
                }
            });
            let inputs = inputs.collect();
            stages.push(Self::run(spec.job, inputs));
        }
        stages
    }

    fn run(job: Job, inputs: Vec<Vec<Element>>) -> Self {
        let records = inputs.iter().map(|input| {
            input.iter().filter_map(|e| match e {
                Element::Record(record) => Some(record.clone()),
                Element::Advance(_) => None,
            })
        });
        let mut reference = Self {
            state: BTreeMap::new(),
            published: Published::default(),
            records: records.map(Iterator::collect).collect(),
            watermark: WATERMARK_MIN,
            emitted: Vec::new(),
        };
        match job {
            Job::Count => {
                for element in inputs.into_iter().flatten() {
                    match element {
                        Element::Record(record) => reference.count(&record),
                        Element::Advance(watermark) => reference.advance(watermark),
                    }
                }
            }
            Job::Window => reference.windows(&inputs),
        }
        reference.state.retain(|_, state| *state != KeyState::default());
        reference
    }

    /// An output of this stage as another one reads it.
    fn read(
        &self,
        output: u8,
        ordering: Ordering,
        record: impl Fn(i64, &[u8]) -> Record,
    ) -> Vec<Element> {
        let mut outputs = Vec::new();
        let mut elements = Vec::new();
        for emitted in &self.emitted {
            match emitted {
                Emitted::Output { output: o, key, event_time, payload } if *o == output => {
                    outputs.push((*event_time, key));
                    elements.push(Element::Record(record(*event_time, payload)));
                }
                Emitted::Output { .. } => {}
                Emitted::Advance(watermark) => elements.push(Element::Advance(*watermark)),
            }
        }
        if ordering == Ordering::Sequence {
            return elements;
        }
        elements.retain(|element| matches!(element, Element::Record(_)));
        let end = Element::Advance(self.watermark);
        if output != EXPIRED {
            // By arrival, in whatever order.
            return elements.into_iter().chain([end]).collect();
        }
        // By time: an output comes when the watermark has reached all that lies before it.
        let mut sorted: Vec<_> = outputs.into_iter().zip(elements).collect();
        sorted.sort_by_key(|((time, key), _)| (*time, (*key).clone()));
        let each = sorted.into_iter().flat_map(|((time, _), e)| [Element::Advance(time - 1), e]);
        each.chain([end]).collect()
    }

    fn emit(&mut self, output: u8, key: &[u8], event_time: i64, payload: Vec<u8>) {
        self.published[sink_of(output)].entry(key.to_vec()).or_default().push(payload.clone());
        self.emitted.push(Emitted::Output { output, key: key.to_vec(), event_time, payload });
    }

    fn count(&mut self, record: &Record) {
        let key = &record.key;
        if is_poison(record.amount) {
            self.emit(DEAD_LETTER, key, record.event_time, dead_letter(record));
        } else {
            let state = self.state.entry(key.clone()).or_default();
            let (count, sum) = state.value.unwrap_or_default();
            let (count, sum) = (count + 1, sum + record.amount);
            state.value = Some((count, sum));
            state.list.push(record.amount);
            if sets_timer(record.amount) {
                state.timers = BTreeSet::from([record.event_time + LIFE_MS]);
            }
            self.emit(RESULT, key, record.event_time, result(count, sum, self.watermark));
        }
        self.fire();
    }

    fn advance(&mut self, watermark: i64) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.fire();
            self.emitted.push(Emitted::Advance(watermark));
        }
    }

    fn fire(&mut self) {
        let mut due: Vec<_> = (self.state.iter())
            .filter_map(|(key, state)| Some((*state.timers.first()?, key.clone())))
            .filter(|(time, _)| *time <= self.watermark)
            .collect();
        due.sort();
        for (time, key) in due {
            let state = self.state.remove(&key);
            let (count, sum) = state.and_then(|state| state.value).unwrap_or_default();
            self.emit(EXPIRED, &key, time, expired(time, count, sum));
        }
    }

    /// In whatever order: no window is ever late.
    fn windows(&mut self, inputs: &[Vec<Element>]) {
        for element in inputs.iter().flatten() {
            let Element::Record(record) = element else { continue };
            let state = self.state.entry(record.key.clone()).or_default();
            let (count, sum) = state.value.unwrap_or_default();
            state.value = Some((count + 1, sum + record.amount));
            state.timers = BTreeSet::from([window_fires(record.event_time)]);
            self.emit(RESULT, &record.key, record.event_time, seen(record));
        }
        let last = |input: &Vec<Element>| {
            let advances = input.iter().filter_map(|element| match element {
                Element::Advance(watermark) => Some(*watermark),
                Element::Record(_) => None,
            });
            advances.max().unwrap_or(WATERMARK_MIN)
        };
        let watermark = inputs.iter().map(last).min().unwrap_or(WATERMARK_MIN);
        self.advance(watermark);
    }
}

/// The source as a stage reads it.
fn source_elements<'a>(
    topology: &Topology,
    stage: usize,
    records: impl Iterator<Item = &'a Record>,
) -> Vec<Element> {
    let mut max_event_time = WATERMARK_MIN;
    let mut elements = Vec::new();
    for record in records {
        elements.push(Element::Record(topology.source_record(stage, record)));
        if record.event_time > max_event_time {
            max_event_time = record.event_time;
            elements.push(Element::Advance(max_event_time - BOUND_MS - 1));
        }
    }
    elements
}

/// The sink of an output; dead letters share one with the expired.
pub fn sink_of(output: u8) -> usize {
    usize::from(output != RESULT)
}
