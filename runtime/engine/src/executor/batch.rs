//! Builds what a call is given. The buffers live as long as the partition.

use std::ops::Range;

use millstream_core::columns::{Batch, Blob, Column, Stored, TimerBatch, Values};
use millstream_core::description::BROADCAST_KEY;
use millstream_core::ids::key_hash;
use millstream_core::timers::Timer;
use millstream_state::{KeyedState, SlotId, StateError};

use crate::input::{Chunk, watermark_of};

/// Buffers kept from call to call.
#[derive(Default)]
pub(super) struct BatchBuffers {
    pub batch: Batch,
    pub timer_batch: TimerBatch,
    /// Slot of each record or timer.
    slots: Vec<SlotId>,
    /// Slot of each distinct key.
    pub distinct: Vec<SlotId>,
    /// Per slot the call it was last seen in and its place among that call's distinct keys.
    marks: Vec<(u32, u32)>,
    call: u32,
}

/// A declared `value` state.
#[derive(Clone, Copy)]
pub(super) struct ValueState {
    /// Its index among the states of all kinds.
    pub index: u16,
    /// Whether it belongs to the partition instead of to a key.
    pub broadcast: bool,
}

/// What a batch needs to know besides its records.
pub(super) struct Facts {
    pub processing_time: i64,
    /// The operator's watermark before the first record.
    pub watermark: i64,
    /// The most the watermark may be while other sources hold it back.
    pub watermark_max: i64,
    /// The source's own watermark before the first record, if others make the operator's too.
    pub own_watermark: Option<i64>,
    /// Up to where timers have fired.
    pub watermark_before: i64,
    pub bound_ms: i64,
    /// Whether the source's advances move the operator's watermark.
    pub timed: bool,
    pub wants_seeds: bool,
    /// Whether the call is about records of a broadcast input.
    pub broadcast: bool,
    pub broadcast_epoch: u64,
}

impl BatchBuffers {
    /// Fills `batch` with these records of the chunk; `advance` is the first advance not yet applied.
    pub fn records(
        &mut self,
        state: &mut KeyedState,
        chunk: &Chunk,
        range: Range<usize>,
        advance: usize,
        facts: &Facts,
        value_states: &[ValueState],
    ) -> Result<(), StateError> {
        let Range { start: from, end: to } = range;
        let records = &chunk.records;
        state.set_watermark(facts.watermark);
        let keys = (from..to).map(|i| (chunk.hashes[i], records.keys.get(i)));
        let partition = load_slots(state, keys, value_states, &mut self.slots)?;
        let batch = &mut self.batch;
        batch.input = chunk.input;
        group(
            &self.slots,
            &mut self.marks,
            &mut self.call,
            &mut self.distinct,
            &mut batch.keys,
            &mut batch.key_of,
            |i| records.keys.get(from + i),
        );
        batch.columns.resize_with(records.columns.len(), || Column {
            present: Default::default(),
            values: Values::Booleans(Vec::new()),
        });
        for (source, target) in records.columns.iter().zip(&mut batch.columns) {
            copy_column(source, from, to, target);
        }
        let keyed = if facts.broadcast { &[][..] } else { &self.distinct[..] };
        load_values(state, keyed, partition, value_states, &mut batch.values);
        batch.event_times.clear();
        batch.event_times.extend_from_slice(&records.event_times[from..to]);
        watermarks(chunk, from, to, advance, facts, batch);
        batch.seeds.clear();
        if facts.wants_seeds {
            let salt = u64::from(chunk.source.0) << 48;
            batch.seeds.extend(chunk.origins[from..to].iter().map(|o| mix(o.sequence ^ salt)));
        }
        batch.processing_time = facts.processing_time;
        batch.broadcast_epoch = facts.broadcast_epoch;
        Ok(())
    }

    /// Fills `timer_batch`.
    pub fn timers(
        &mut self,
        state: &mut KeyedState,
        timers: &[Timer],
        facts: &Facts,
        value_states: &[ValueState],
    ) -> Result<(), StateError> {
        state.set_watermark(facts.watermark);
        let keys = timers.iter().map(|t| (key_hash(t.key()), t.key()));
        let partition = load_slots(state, keys, value_states, &mut self.slots)?;
        let batch = &mut self.timer_batch;
        group(
            &self.slots,
            &mut self.marks,
            &mut self.call,
            &mut self.distinct,
            &mut batch.keys,
            &mut batch.key_of,
            |i| timers[i].key(),
        );
        load_values(state, &self.distinct, partition, value_states, &mut batch.values);
        batch.timers.clear();
        batch.timers.extend(timers.iter().map(|t| u32::from(t.timer)));
        batch.times.clear();
        batch.times.extend(timers.iter().map(|t| t.time));
        (batch.watermark, batch.watermark_before) = (facts.watermark, facts.watermark_before);
        batch.seeds.clear();
        if facts.wants_seeds {
            batch.seeds.extend(
                timers
                    .iter()
                    .map(|t| mix(key_hash(t.key()) ^ mix(t.time as u64) ^ u64::from(t.timer))),
            );
        }
        batch.processing_time = facts.processing_time;
        batch.broadcast_epoch = facts.broadcast_epoch;
        Ok(())
    }
}

/// Finds the distinct slots, in order of first appearance, without hashing again.
fn group<'a>(
    slots: &[SlotId],
    marks: &mut Vec<(u32, u32)>,
    call: &mut u32,
    distinct: &mut Vec<SlotId>,
    keys: &mut Blob,
    key_of: &mut Vec<u32>,
    key: impl Fn(usize) -> &'a [u8],
) {
    *call = call.wrapping_add(1);
    if *call == 0 {
        marks.clear();
        *call = 1;
    }
    distinct.clear();
    keys.clear();
    key_of.clear();
    for (i, &slot) in slots.iter().enumerate() {
        let index = slot.index();
        if index >= marks.len() {
            marks.resize((index + 1).next_power_of_two(), (0, 0));
        }
        let mark = &mut marks[index];
        if mark.0 != *call {
            *mark = (*call, distinct.len() as u32);
            distinct.push(slot);
            keys.push(key(i));
        }
        key_of.push(mark.1);
    }
}

/// Loads the slots of these keys, and that of broadcast values if there are any, which it returns.
fn load_slots<'k>(
    state: &mut KeyedState,
    keys: impl Iterator<Item = (u64, &'k [u8])>,
    value_states: &[ValueState],
    slots: &mut Vec<SlotId>,
) -> Result<Option<SlotId>, StateError> {
    if !value_states.iter().any(|state| state.broadcast) {
        state.slots(keys, slots)?;
        return Ok(None);
    }
    let partition = std::iter::once((key_hash(BROADCAST_KEY), BROADCAST_KEY));
    state.slots(keys.chain(partition), slots)?;
    Ok(slots.pop())
}

/// The values of the keys at hand, and of broadcast states the one value of the partition.
fn load_values(
    state: &KeyedState,
    keyed: &[SlotId],
    partition: Option<SlotId>,
    value_states: &[ValueState],
    values: &mut Vec<Stored>,
) {
    values.resize_with(value_states.len(), Stored::default);
    for (index, stored) in values.iter_mut().enumerate() {
        stored.present.clear();
        stored.items.clear();
        let slots = if value_states[index].broadcast { partition.as_slice() } else { keyed };
        for (i, &slot) in slots.iter().enumerate() {
            let value = state.value(slot, index);
            stored.present.push(i, value.is_some());
            stored.items.push(value.unwrap_or_default());
        }
    }
}

/// The watermarks before each record.
fn watermarks(
    chunk: &Chunk,
    from: usize,
    to: usize,
    mut advance: usize,
    facts: &Facts,
    batch: &mut Batch,
) {
    batch.watermarks.clear();
    batch.input_watermarks.clear();
    if !facts.timed {
        batch.watermarks.resize(to - from, facts.watermark);
        return;
    }
    let advances = &chunk.scan.advances;
    let mut watermark = facts.watermark;
    let mut own = facts.own_watermark.unwrap_or(watermark);
    for origin in &chunk.origins[from..to] {
        while let Some(&(sequence, event_time)) = advances.get(advance)
            && sequence < origin.sequence
        {
            let reached = watermark_of(event_time, facts.bound_ms);
            own = own.max(reached);
            watermark = watermark.max(reached.min(facts.watermark_max));
            advance += 1;
        }
        batch.watermarks.push(watermark);
        if facts.own_watermark.is_some() {
            // A source that was idle may be behind.
            batch.input_watermarks.push(own.max(watermark));
        }
    }
}

fn copy_column(source: &Column, from: usize, to: usize, target: &mut Column) {
    target.present.clear();
    if !source.present.0.is_empty() {
        for i in from..to {
            target.present.push(i - from, source.present.has(i));
        }
    }
    match (&source.values, &mut target.values) {
        (Values::Booleans(s), Values::Booleans(t)) => copy(&s[from..to], t),
        (Values::Integers(s), Values::Integers(t)) => copy(&s[from..to], t),
        (Values::Floats(s), Values::Floats(t)) => copy(&s[from..to], t),
        (Values::Blobs(s), Values::Blobs(t)) => copy_blob(s, from, to, t),
        (Values::Booleans(s), t) => *t = Values::Booleans(s[from..to].to_vec()),
        (Values::Integers(s), t) => *t = Values::Integers(s[from..to].to_vec()),
        (Values::Floats(s), t) => *t = Values::Floats(s[from..to].to_vec()),
        (Values::Blobs(s), t) => {
            let mut blob = Blob::default();
            copy_blob(s, from, to, &mut blob);
            *t = Values::Blobs(blob);
        }
    }
}

fn copy<T: Copy>(source: &[T], target: &mut Vec<T>) {
    target.clear();
    target.extend_from_slice(source);
}

fn copy_blob(source: &Blob, from: usize, to: usize, target: &mut Blob) {
    let start = if from == 0 { 0 } else { source.ends[from - 1] };
    let end = if to == 0 { 0 } else { source.ends[to - 1] };
    target.clear();
    target.data.extend_from_slice(&source.data[start as usize..end as usize]);
    target.ends.extend(source.ends[from..to].iter().map(|&e| e - start));
}

/// The SplitMix64 finaliser.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
