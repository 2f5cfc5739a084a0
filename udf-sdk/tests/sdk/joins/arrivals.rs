//! Random records of two inputs, in the order in which each input has them, and ways in which they come among each
//! other.

use millstream_udf::testing::Record;
use proptest::prelude::*;
use serde_json::json;

/// A record of a model: which input, key, event time, number within its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub right: bool,
    pub key: String,
    pub ts: i64,
    pub n: i64,
}

impl Sent {
    pub fn record(&self) -> (&'static str, Record) {
        let input = if self.right { "rights" } else { "lefts" };
        (input, Record::from(json!({"key": self.key, "ts": self.ts, "n": self.n})))
    }
}

/// Which input, which key, how far the input goes on, how far the record lies behind.
pub type Step = (bool, u8, i64, i64);

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ahead = prop_oneof![4 => 0..6_i64, 1 => 0..40_i64];
    let behind = prop_oneof![3 => 0..5_i64, 2 => 0..30_i64, 1 => 0..100_i64];
    prop::collection::vec((any::<bool>(), 0..3_u8, ahead, behind), 1..80)
}

/// The records of both inputs in one order of arrival.
pub fn records(steps: &[Step]) -> Vec<Sent> {
    let (mut now, mut numbers) = ([0, 0], [0, 0]);
    let record = |&(right, key, ahead, behind): &Step| {
        let side = usize::from(right);
        now[side] += ahead;
        numbers[side] += 1;
        Sent { right, key: format!("k{key}"), ts: now[side] - behind, n: numbers[side] }
    };
    steps.iter().map(record).collect()
}

/// The same records of each input, but otherwise mixed: `picks` says whose turn it is.
pub fn mixed(records: &[Sent], picks: &[bool]) -> Vec<Sent> {
    let (mut left, mut right): (Vec<_>, Vec<_>) =
        records.iter().rev().cloned().partition(|r| !r.right);
    let mut picks = picks.iter().cycle();
    let mut out = Vec::new();
    while !left.is_empty() || !right.is_empty() {
        let turn = picks.next().copied().unwrap_or_default();
        let (first, other) = if turn { (&mut right, &mut left) } else { (&mut left, &mut right) };
        out.extend(first.pop().or_else(|| other.pop()));
    }
    out
}

/// The records, each with the watermark of its own input before it.
pub fn with_watermarks(records: &[Sent], bound: i64) -> Vec<(Sent, i64)> {
    let mut watermarks = [i64::MIN; 2];
    let with = records.iter().map(|record| {
        let watermark = &mut watermarks[usize::from(record.right)];
        let before = *watermark;
        *watermark = before.max(record.ts - bound - 1);
        (record.clone(), before)
    });
    with.collect()
}

/// Which records are late by the watermark of their own input, and which are not.
pub fn split_late(records: &[Sent], bound: i64) -> (Vec<Sent>, Vec<Sent>) {
    let (late, kept): (Vec<_>, Vec<_>) =
        with_watermarks(records, bound).into_iter().partition(|(r, watermark)| r.ts <= *watermark);
    let records = |of: Vec<(Sent, i64)>| of.into_iter().map(|(record, _)| record).collect();
    (records(late), records(kept))
}

/// How late records are told: sorted, since the inputs come in any order.
pub fn told_late(late: &[Sent]) -> Vec<String> {
    let mut told: Vec<String> =
        late.iter().map(|r| format!(r#"{{"n":{},"right":{}}}"#, r.n, r.right)).collect();
    told.sort();
    told
}
