//! The reference: the same job without a log, partitions, owners or faults. And the
//! job itself, as far as both sides share it.

use std::collections::{BTreeMap, BTreeSet};

use crate::servers::source::Record;

/// Out-of-orderness bound of the source, milliseconds.
pub const BOUND_MS: i64 = 300;
/// A key that got a record whose amount divides by three expires that long after it.
pub const LIFE_MS: i64 = 700;

/// Outputs of the job.
pub const RESULT: u8 = 0;
pub const EXPIRED: u8 = 1;

pub fn is_poison(amount: u64) -> bool {
    amount % 17 == 16
}

pub fn sets_timer(amount: u64) -> bool {
    amount.is_multiple_of(3)
}

pub fn result(count: u64, sum: u64) -> Vec<u8> {
    format!("{count} {sum}").into_bytes()
}

pub fn expired(time: i64, count: u64, sum: u64) -> Vec<u8> {
    format!("{time}: {count} {sum}").into_bytes()
}

pub fn dead_letter(sequence: u64) -> Vec<u8> {
    format!("poison at {sequence}").into_bytes()
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

#[derive(Debug, Default)]
pub struct Reference {
    pub state: BTreeMap<Vec<u8>, KeyState>,
    pub published: Published,
    max_event_time: Option<i64>,
}

impl Reference {
    pub fn run<'a>(records: impl Iterator<Item = (u64, &'a Record)>) -> Self {
        let mut reference = Self::default();
        for (sequence, record) in records {
            reference.apply(sequence, record);
        }
        reference.state.retain(|_, state| *state != KeyState::default());
        reference
    }

    fn publish(&mut self, output: u8, key: &[u8], payload: Vec<u8>) {
        self.published[sink_of(output)].entry(key.to_vec()).or_default().push(payload);
    }

    fn apply(&mut self, sequence: u64, record: &Record) {
        let key = &record.key;
        if is_poison(record.amount) {
            self.publish(millstream_core::outputs::DEAD_LETTER, key, dead_letter(sequence));
        } else {
            let state = self.state.entry(key.clone()).or_default();
            let (count, sum) = state.value.unwrap_or_default();
            let (count, sum) = (count + 1, sum + record.amount);
            state.value = Some((count, sum));
            state.list.push(record.amount);
            if sets_timer(record.amount) {
                state.timers = BTreeSet::from([record.event_time + LIFE_MS]);
            }
            self.publish(RESULT, key, result(count, sum));
        }
        self.max_event_time = self.max_event_time.max(Some(record.event_time));
        let watermark = self.max_event_time.unwrap_or(i64::MIN) - BOUND_MS - 1;
        let mut due: Vec<_> = (self.state.iter())
            .filter_map(|(key, state)| Some((*state.timers.first()?, key.clone())))
            .filter(|(time, _)| *time <= watermark)
            .collect();
        due.sort();
        for (time, key) in due {
            let (count, sum) =
                self.state.remove(&key).and_then(|state| state.value).unwrap_or_default();
            self.publish(EXPIRED, &key, expired(time, count, sum));
        }
    }
}

/// The sink of an output; dead letters share one with the expired.
pub fn sink_of(output: u8) -> usize {
    usize::from(output != RESULT)
}
