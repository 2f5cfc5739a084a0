//! The harness.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::double::{self, Double};
use super::extract::{Document, Row, columns};
use super::record::{Record, Refusal};
use super::render;
use super::store::{Store, Touches};
use super::timers::{Pending, Timers};
use crate::call::Udf;
use crate::describe::{Description, TimeDomain};
use crate::frame::{Batch, Blob, Effects, Emitted, Failure, TimerBatch};
use crate::log::Level;
use crate::random::Random;
use crate::state::{Now, Opening, States};

/// Plays the host for a UDF; see [the module](super).
///
/// Clocks: the watermark starts at `i64::MIN`, processing time at 0. Event-time timers fire when the
/// watermark is at or past their time, processing-time timers likewise, in the order of (time,
/// key, name).
pub struct Harness<U: Udf> {
    udf: U,
    description: Description,
    double: Double,
    timers: Timers,
    /// Per declared output, what was emitted and not taken.
    emitted: Vec<Vec<Vec<u8>>>,
    key_from: Option<String>,
    event_time_from: Option<String>,
    bound_ms: Option<i64>,
    batch_records: usize,
    /// Per declared input.
    clocks: Vec<InputClock>,
    /// The operator's watermark behind all records that were sent, and that up to which timers have fired.
    reached: i64,
    watermark: i64,
    processing_time: i64,
    seeds: Random,
    broadcast_epoch: u64,
}

/// An epoch of broadcast states that no harness of this process has had.
fn next_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// What an input's records say of the time.
#[derive(Clone, Copy)]
struct InputClock {
    watermark: i64,
    idle: bool,
}

/// A record whose fields, key and times are known.
struct Ready {
    /// Index of the record in what was sent.
    sent: usize,
    /// Index of its input.
    input: usize,
    row: Row,
    key: Vec<u8>,
    event_time: i64,
    seed: u64,
    /// The watermark of its input before it.
    own_watermark: i64,
    /// The operator's watermark before and after it.
    watermark: i64,
    watermark_after: i64,
}

impl<U: Udf> Default for Harness<U> {
    fn default() -> Self {
        Self::new()
    }
}

impl<U: Udf> Harness<U> {
    /// A harness for a UDF without configuration. Panics if it refuses that.
    pub fn new() -> Self {
        Self::with_config(Value::Object(serde_json::Map::new()))
    }

    /// A harness for a UDF with this `config`. Panics if it refuses it; [`Udf::create`] does not.
    pub fn with_config(config: Value) -> Self {
        let description = U::description();
        let udf = match U::create(Some(&config.to_string())) {
            Ok(udf) => udf,
            Err(error) => panic!("{error}"),
        };
        Self {
            udf,
            double: Double { store: Store::new(description.states.clone()), ..Double::default() },
            timers: Timers::default(),
            emitted: vec![Vec::new(); description.outputs.len()],
            clocks: vec![InputClock { watermark: i64::MIN, idle: false }; description.inputs.len()],
            description,
            key_from: None,
            event_time_from: None,
            bound_ms: None,
            batch_records: 1,
            reached: i64::MIN,
            watermark: i64::MIN,
            processing_time: 0,
            seeds: Random::from_seed(1),
            broadcast_epoch: next_epoch(),
        }
    }

    /// The same with another `config`, as after a change of the manifest: state, timers and clocks stay. Panics if the
    /// UDF refuses it.
    pub fn reconfigured(self, config: Value) -> Self {
        let udf = match U::create(Some(&config.to_string())) {
            Ok(udf) => udf,
            Err(error) => panic!("{error}"),
        };
        Self { udf, ..self }
    }

    /// The same with another UDF, as after a swap: state, timers and clocks stay, by name. Panics if the UDF refuses this
    /// `config`, or if a host would refuse the swap because of the states or the inputs.
    pub fn swapped<V: Udf>(self, config: Value) -> Harness<V> {
        let Self { description: old, mut double, timers, clocks, .. } = self;
        let mut new = Harness::<V>::with_config(config);
        let inputs = |description: &Description| {
            description.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(&new.description), inputs(&old), "the inputs are others");
        double.store.declare(new.description.states.clone());
        for (output, emitted) in old.outputs.iter().zip(self.emitted) {
            if let Some(i) = new.description.outputs.iter().position(|o| o.name == output.name) {
                new.emitted[i] = emitted;
            }
        }
        Harness {
            double,
            timers,
            clocks,
            key_from: self.key_from,
            event_time_from: self.event_time_from,
            bound_ms: self.bound_ms,
            batch_records: self.batch_records,
            reached: self.reached,
            watermark: self.watermark,
            processing_time: self.processing_time,
            seeds: self.seeds,
            ..new
        }
    }

    /// Takes the key of records that have none from this JSON pointer. Otherwise it is empty.
    pub fn key_from(self, pointer: &str) -> Self {
        Self { key_from: Some(pointer.into()), ..self }
    }

    /// Takes the event time of records that have none from this JSON pointer, in milliseconds.
    /// Otherwise it is the processing time.
    pub fn event_time_from(self, pointer: &str) -> Self {
        Self { event_time_from: Some(pointer.into()), ..self }
    }

    /// Drives the watermarks: after each record whose event time is above all before it in its input, the watermark of
    /// that input becomes that time - `bound_ms` - 1. The operator's is the least of those of the inputs. Otherwise they
    /// move by [`Self::advance_watermark`] only.
    pub fn with_bound(self, bound_ms: i64) -> Self {
        Self { bound_ms: Some(bound_ms), ..self }
    }

    /// Calls the UDF with up to so many records at a time in [`Self::send_all`], as the host does.
    /// The results must not depend on it.
    pub fn batches_of(self, records: usize) -> Self {
        Self { batch_records: records.clamp(1, 4096), ..self }
    }

    /// What the UDF says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Sends a record to the first input, and fires the timers that it makes due. Panics if a timer is refused.
    pub fn send(&mut self, record: impl Into<Record>) -> Result<(), Refusal> {
        let input = self.description.inputs[0].name.clone();
        self.send_to(&input, record)
    }

    /// As [`Self::send`], to the input of this name. Panics if there is none.
    pub fn send_to(&mut self, input: &str, record: impl Into<Record>) -> Result<(), Refusal> {
        let refused = self.send_all_to(input, [record.into()]);
        refused.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal))
    }

    /// Sends records to the first input, in batches; gives those that were refused with their index.
    pub fn send_all<R: Into<Record>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Vec<(usize, Refusal)> {
        let input = self.description.inputs[0].name.clone();
        self.send_all_to(&input, records)
    }

    /// As [`Self::send_all`], to the input of this name. Panics if there is none.
    pub fn send_all_to<R: Into<Record>>(
        &mut self,
        input: &str,
        records: impl IntoIterator<Item = R>,
    ) -> Vec<(usize, Refusal)> {
        self.send_mixed(records.into_iter().map(|record| (input, record)))
    }

    /// Sends records to several inputs, in this order, in batches of one input each; gives those that were refused with
    /// their index. Panics if there is no input of a name.
    pub fn send_mixed<'n, R: Into<Record>>(
        &mut self,
        records: impl IntoIterator<Item = (&'n str, R)>,
    ) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut ready = VecDeque::new();
        for (sent, (input, record)) in records.into_iter().enumerate() {
            match self.prepare(self.input(input), sent, &record.into()) {
                Ok(record) => ready.push_back(record),
                Err(why) => refused.push((sent, Refusal::Unfit(why))),
            }
        }
        while !ready.is_empty() {
            self.run_batch(&mut ready, &mut refused);
        }
        // Refused records have moved their input's watermark too.
        self.move_watermark(self.reached);
        refused.sort_by_key(|(sent, _)| *sent);
        refused
    }

    /// Index of the input of this name.
    fn input(&self, name: &str) -> usize {
        let inputs = &self.description.inputs;
        match inputs.iter().position(|declared| declared.name == name) {
            Some(input) => input,
            None => panic!("the UDF has no input `{name}`"),
        }
    }

    /// Takes the fields, key and times out of a record, and moves the source's watermark.
    fn prepare(&mut self, input: usize, sent: usize, record: &Record) -> Result<Ready, String> {
        let mut document = Document::new(record);
        let event_time = match (record.event_time, &self.event_time_from) {
            (Some(time), _) => time,
            (None, Some(pointer)) => document.integer(pointer)?,
            (None, None) => self.processing_time,
        };
        let clock = &mut self.clocks[input];
        clock.idle = false;
        let own = clock.watermark;
        if let Some(bound) = self.bound_ms {
            clock.watermark = own.max(event_time.saturating_sub(bound).saturating_sub(1));
        }
        let watermark = self.reached;
        self.reach();
        let key = match (&record.key, &self.key_from) {
            _ if self.description.inputs[input].broadcast => Vec::new(),
            (Some(key), _) => key.clone(),
            (None, Some(pointer)) => document.key(pointer)?,
            (None, None) => Vec::new(),
        };
        let row = document.row(&self.description.inputs[input])?;
        Ok(Ready {
            sent,
            input,
            row,
            key,
            event_time,
            seed: self.seeds.bits(),
            own_watermark: own.max(watermark),
            watermark,
            watermark_after: self.reached,
        })
    }

    /// An input's clock has changed: what the operator's watermark comes to.
    fn reach(&mut self) {
        let awake = self.clocks.iter().filter(|clock| !clock.idle);
        let least = awake.map(|clock| clock.watermark).min();
        self.reached = self.reached.max(least.unwrap_or(i64::MIN));
    }

    /// Runs as many of the first records as one call may have, then the timers that are due behind
    /// them.
    fn run_batch(&mut self, ready: &mut VecDeque<Ready>, refused: &mut Vec<(usize, Refusal)>) {
        let records = ready.make_contiguous();
        let input = records[0].input;
        let same = records.iter().take_while(|record| record.input == input).count();
        let first_due = self.timers.of(TimeDomain::EventTime).first().map(|timer| timer.time);
        let mut count = same.min(self.batch_records);
        if let Some(time) = first_due {
            count = cut(records, count, 0, time);
        }
        let effects = loop {
            let (effects, batch_keys) = self.process(input, &records[..count]);
            match effects {
                Err(Failure { index, message }) => {
                    let failed =
                        ready.remove(index as usize).expect("the index is within the batch");
                    refused.push((failed.sent, Refusal::Failed(message)));
                    return self.advance_to_front(ready, failed.watermark_after);
                }
                Ok(effects) => {
                    let changes = &effects.timer_changes;
                    let shorter = (0..changes.causes.len())
                        .map(|i| cut(records, count, changes.causes[i] as usize, changes.times[i]))
                        .min()
                        .unwrap_or(count);
                    if shorter < count {
                        // A timer fires between two of these records.
                        self.double.store.drop_call();
                        count = shorter;
                        continue;
                    }
                    self.double.store.commit(&effects.written);
                    let (keys, key_of) = batch_keys;
                    self.timers.apply(&self.description, changes, |i| keys.get(key_of[i] as usize));
                    break effects;
                }
            }
        };
        self.collect(effects.emitted);
        if let Some(last) = ready.drain(..count).next_back() {
            // No timer was due before the last record, or the call would have been cut there. One that a
            // record set when it was past already waits for an advance behind that record.
            self.watermark = last.watermark;
            self.move_watermark(last.watermark_after);
        }
    }

    /// After a refused record: moves the watermark only if no earlier record waits to be run again.
    fn advance_to_front(&mut self, ready: &VecDeque<Ready>, after: i64) {
        match ready.front() {
            Some(front) => self.move_watermark(front.watermark),
            None => self.move_watermark(after),
        }
    }

    /// Calls the UDF for records; the call stays open in the store unless it fails.
    #[allow(clippy::type_complexity)]
    fn process(
        &mut self,
        input: usize,
        records: &[Ready],
    ) -> (Result<Effects, Failure>, (Blob, Vec<u32>)) {
        let rows: Vec<&Row> = records.iter().map(|record| &record.row).collect();
        let (keys, key_of) = distinct(records.iter().map(|record| &record.key[..]));
        let broadcast = self.description.inputs[input].broadcast;
        let touches = if broadcast { Touches::Broadcast } else { Touches::Keys };
        let all = (0..keys.len()).map(|i| keys.get(i).to_vec()).collect();
        let watermark = records.first().map_or(self.watermark, |record| record.watermark);
        let values = self.double.store.begin(all, touches, self.processing_time, watermark);
        let batch = Batch {
            input: input as u32,
            keys: keys.clone(),
            key_of: key_of.clone(),
            columns: columns(&self.description.inputs[input], &rows),
            values,
            event_times: records.iter().map(|record| record.event_time).collect(),
            watermarks: records.iter().map(|record| record.watermark).collect(),
            input_watermarks: if self.clocks.len() > 1 {
                records.iter().map(|record| record.own_watermark).collect()
            } else {
                Vec::new()
            },
            seeds: self.seeds_for(records.iter().map(|record| record.seed)),
            processing_time: self.processing_time,
            broadcast_epoch: self.broadcast_epoch,
        };
        let udf = &self.udf;
        let effects = double::run(&mut self.double, || udf.process_batch(batch));
        if effects.is_err() {
            self.double.store.drop_call();
        }
        if broadcast {
            self.broadcast_epoch = next_epoch();
        }
        (effects, (keys, key_of))
    }

    fn seeds_for(&self, seeds: impl Iterator<Item = u64>) -> Vec<u64> {
        let wanted = self.description.capabilities.contains(&crate::describe::Capability::Random);
        if wanted { seeds.collect() } else { Vec::new() }
    }

    /// Moves the watermarks of all inputs, and so the operator's, forward to this time, and fires event-time timers. Panics
    /// if a timer is refused.
    pub fn advance_watermark(&mut self, watermark: i64) {
        for clock in &mut self.clocks {
            clock.watermark = clock.watermark.max(watermark);
        }
        self.reach();
        self.move_watermark(self.reached);
    }

    /// As [`Self::advance_watermark`], for the input of this name alone. Panics if there is none.
    pub fn advance_watermark_of(&mut self, input: &str, watermark: i64) {
        let input = self.input(input);
        let clock = &mut self.clocks[input];
        clock.watermark = clock.watermark.max(watermark);
        self.reach();
        self.move_watermark(self.reached);
    }

    /// Lets the input of this name hold the operator's watermark back no more, until its next record. Panics if there is
    /// none.
    pub fn idle(&mut self, input: &str) {
        let input = self.input(input);
        self.clocks[input].idle = true;
        self.reach();
        self.move_watermark(self.reached);
    }

    fn move_watermark(&mut self, watermark: i64) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.fire(TimeDomain::EventTime, watermark);
        }
    }

    /// Ends the input: the watermark becomes infinite and all event-time timers fire.
    pub fn end_of_input(&mut self) {
        self.advance_watermark(i64::MAX);
    }

    /// Moves processing time forward to this time and fires processing-time timers. Panics if a timer is refused.
    pub fn advance_processing_time(&mut self, time: i64) {
        if time > self.processing_time {
            self.processing_time = time;
            self.fire(TimeDomain::ProcessingTime, time);
        }
    }

    /// Fires what is due, one by one, since what one does may concern the next.
    fn fire(&mut self, domain: TimeDomain, until: i64) {
        while let Some(timer) =
            self.timers.of(domain).first().filter(|timer| timer.time <= until).cloned()
        {
            self.timers.of(domain).remove(&timer);
            if let Err(failure) = self.fire_one(&timer) {
                panic!("timer `{}` was refused: {}", timer.name, failure.message);
            }
        }
    }

    fn fire_one(&mut self, timer: &Pending) -> Result<(), Failure> {
        let index = self.description.timers.iter().position(|declared| declared.name == timer.name);
        let values = self.double.store.begin(
            vec![timer.key.clone()],
            Touches::Keys,
            self.processing_time,
            self.watermark,
        );
        let (keys, key_of) = distinct([&timer.key[..]].into_iter());
        let seed = self.seeds.bits();
        let batch = TimerBatch {
            keys,
            key_of,
            timers: index.into_iter().map(|index| index as u32).collect(),
            times: vec![timer.time],
            values,
            watermark: self.watermark,
            seeds: self.seeds_for([seed].into_iter()),
            processing_time: self.processing_time,
            broadcast_epoch: self.broadcast_epoch,
        };
        let udf = &self.udf;
        let effects = double::run(&mut self.double, || udf.fire_timers(batch))
            .inspect_err(|_| self.double.store.drop_call())?;
        self.double.store.commit(&effects.written);
        self.timers.apply(&self.description, &effects.timer_changes, |_| &timer.key);
        self.collect(effects.emitted);
        Ok(())
    }

    fn collect(&mut self, emitted: Vec<Emitted>) {
        for ((output, emitted), kept) in
            self.description.outputs.iter().zip(&emitted).zip(&mut self.emitted)
        {
            kept.extend((0..emitted.causes.len()).map(|i| render::item(output, emitted, i)));
        }
    }

    /// Takes what this output has emitted, as bytes. Panics if there is no such output.
    pub fn take_raw(&mut self, output: &str) -> Vec<Vec<u8>> {
        match self.description.outputs.iter().position(|declared| declared.name == output) {
            Some(index) => std::mem::take(&mut self.emitted[index]),
            None => panic!("the UDF has no output `{output}`"),
        }
    }

    /// Takes what this output has emitted, as canonical JSON lines. Panics if an item is not UTF-8.
    pub fn take_lines(&mut self, output: &str) -> Vec<String> {
        let lines = self.take_raw(output).into_iter();
        lines.map(|line| String::from_utf8(line).expect("items taken as lines are text")).collect()
    }

    /// Takes what this output has emitted, as JSON values. Panics if an item is not JSON.
    pub fn take(&mut self, output: &str) -> Vec<Value> {
        let items = self.take_raw(output).into_iter();
        items
            .map(|item| serde_json::from_slice(&item).expect("items taken as values are JSON"))
            .collect()
    }

    /// Looks at, or changes, the state of a key. Elements that expire by event time are seen at the watermark, and what is
    /// written lives from it on; from processing time on, before there is one.
    pub fn with_state<R>(
        &mut self,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&mut U::State) -> R,
    ) -> R {
        let keys = vec![key.as_ref().to_vec()];
        let values =
            self.double.store.begin(keys, Touches::Keys, self.processing_time, self.watermark);
        let event_time =
            if self.watermark == i64::MIN { self.processing_time } else { self.watermark };
        let now = Now { event_time, watermark: self.watermark };
        let (looked, written) = double::run(&mut self.double, || {
            let mut state = U::State::open(&mut Opening::new(1, values));
            state.select(0);
            state.at(now);
            let looked = look(&mut state);
            let mut written = Vec::new();
            state.close(&mut written);
            (looked, written)
        });
        self.double.store.commit(&written);
        looked
    }

    /// Looks at, or changes, the broadcast state.
    pub fn with_broadcast<R>(&mut self, look: impl FnOnce(&mut U::Broadcast) -> R) -> R {
        let keys = vec![Vec::new()];
        let values =
            self.double.store.begin(keys, Touches::Broadcast, self.processing_time, self.watermark);
        let (looked, written) = double::run(&mut self.double, || {
            let mut opening = Opening::new(0, values);
            let (state, mut broadcast) =
                (U::State::open(&mut opening), U::Broadcast::open(&mut opening));
            let looked = look(&mut broadcast);
            let mut written = Vec::new();
            state.close(&mut written);
            broadcast.close(&mut written);
            (looked, written)
        });
        self.double.store.commit(&written);
        self.broadcast_epoch = next_epoch();
        looked
    }

    /// How many elements are stored for a key: values, list items and map entries, in the states of all names.
    pub fn stored_elements(&self, key: impl AsRef<[u8]>) -> usize {
        self.double.store.count(key.as_ref())
    }

    /// Pending timers as (key, name, time), in the order of their times.
    pub fn pending_timers(&self) -> Vec<(String, String, i64)> {
        let all = self.timers.all().into_iter();
        all.map(|timer| (String::from_utf8_lossy(&timer.key).into_owned(), timer.name, timer.time))
            .collect()
    }

    /// The watermark, in milliseconds.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// What was logged, oldest first.
    pub fn logs(&self) -> &[(Level, String)] {
        &self.double.logs
    }

    /// What a counter has come to.
    pub fn counter(&self, name: &str) -> u64 {
        self.double.counters.get(name).copied().unwrap_or(0)
    }

    /// What a histogram has recorded.
    pub fn histogram(&self, name: &str) -> &[f64] {
        self.double.histograms.get(name).map_or(&[], |values| values)
    }
}

/// How many of the first `count` records may be in one call if a timer of this time is pending from record
/// `since` on: it fires at the first advance of the watermark to its time or past it.
fn cut(records: &[Ready], count: usize, since: usize, time: i64) -> usize {
    let set_at = records[since].watermark;
    let due =
        (since + 1..count).find(|&j| records[j].watermark > set_at && records[j].watermark >= time);
    due.unwrap_or(count)
}

/// Distinct keys in order of first appearance, and the index of each.
fn distinct<'k>(all: impl Iterator<Item = &'k [u8]>) -> (Blob, Vec<u32>) {
    let mut seen = std::collections::HashMap::new();
    let mut keys = Blob::default();
    let key_of = all
        .map(|key| {
            *seen.entry(key.to_vec()).or_insert_with(|| {
                keys.push(key);
                keys.len() as u32 - 1
            })
        })
        .collect();
    (keys, key_of)
}
