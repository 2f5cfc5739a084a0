//! Stages that run in the partitions of another: their UDFs are called one behind the other, as one.
//!
//! What a UDF emits becomes the input of the next within the same call, so that a record and all that
//! follows from it land in one commit, or none of it does. To the executor a [`Chain`] is a UDF whose outputs, states and timers are
//! those of its links, one behind the other ([`description`]).
//!
//! A link sees what it would see behind an exchange: the outputs of a record have its time and come before the
//! watermark's next advance, and so do those of a timer.

use std::ops::Range;

use millstream_core::columns::{
    Batch, Blob, Column, Effects, Emitted, Presence, Stored, TimerBatch, TimerChanges, Values,
    Written,
};
use millstream_core::description::{
    Capability, Description, Input, InputField, StateKind, StateSpec, TimeDomain, TimerSpec,
};
use millstream_core::udf::{CallState, Fault, Limit, Udf};
use millstream_sandbox::codec::{Decoder, Encoder, KeySource, NoHeaders, PointerError, TimeSource};

use crate::executor::mix;
use crate::spec::StageSpec;

/// What a chain of UDFs says of itself.
pub fn description(stage: &StageSpec) -> Description {
    let mut whole = stage.module.description().clone();
    for link in &stage.chained {
        let own = link.module.description();
        whole.outputs.extend(own.outputs.iter().cloned());
        whole.states.extend(own.states.iter().map(|state| StateSpec {
            name: format!("{}.{}", link.name, state.name),
            ..state.clone()
        }));
        whole.timers.extend(own.timers.iter().map(|timer| TimerSpec {
            name: format!("{}.{}", link.name, timer.name),
            ..timer.clone()
        }));
        let missing = own.capabilities.iter().filter(|c| !whole.capabilities.contains(c));
        let missing: Vec<Capability> = missing.copied().collect();
        whole.capabilities.extend(missing);
    }
    whole
}

/// UDFs that are called one behind the other.
pub struct Chain {
    links: Vec<Link>,
    /// Per declared input of the first whether it is a broadcast input.
    broadcast: Vec<bool>,
    /// Per declared timer whether it follows event time.
    event_time: Vec<bool>,
    outputs: usize,
    values: usize,
}

struct Link {
    name: String,
    udf: Box<dyn Udf + Send>,
    /// How it gets its records; none: it is the first.
    bridge: Option<Bridge>,
    /// Its own among the chain's.
    outputs: Range<usize>,
    states: Range<usize>,
    values: Range<usize>,
    timers: Range<usize>,
    wants_seeds: bool,
}

/// From an output of one link to the input of another.
struct Bridge {
    /// The link that emits, and which of its outputs.
    from: (usize, usize),
    encoder: Encoder,
    decoder: Decoder,
    payload: Vec<u8>,
}

/// What a call of the whole chain is about, by record or timer.
struct Causes<'a> {
    keys: &'a Blob,
    key_of: &'a [u32],
    times: &'a [i64],
    watermarks: &'a [i64],
    values: &'a [Stored],
    seeds: &'a [u64],
    processing_time: i64,
    broadcast_epoch: u64,
}

/// What one link's call is about, in terms of the whole call.
struct Scope {
    /// Per record or timer which cause it stems from.
    causes: Vec<u32>,
    /// Per distinct key which one it is.
    keys: Vec<u32>,
}

impl Chain {
    /// A chain of started UDFs: that of the stage, and those behind it.
    ///
    /// # Errors
    /// A pointer of an input field is none.
    pub fn new(stage: &StageSpec, udfs: Vec<Box<dyn Udf + Send>>) -> Result<Self, PointerError> {
        let whole = description(stage);
        let mut links: Vec<Link> = Vec::new();
        let modules = [&stage.module].into_iter().chain(stage.chained.iter().map(|l| &l.module));
        for (index, (module, udf)) in modules.zip(udfs).enumerate() {
            let own = module.description();
            let chained = index.checked_sub(1).map(|behind| &stage.chained[behind]);
            let bridge = match chained {
                None => None,
                Some(link) => {
                    let emitter = match link.from.0 {
                        0 => stage.module.description(),
                        n => stage.chained[n - 1].module.description(),
                    };
                    let from = (link.from.0, usize::from(link.from.1));
                    let fields: &[InputField] = &own.inputs[0].fields;
                    Some(Bridge {
                        from,
                        encoder: Encoder::new(&emitter.outputs[from.1]),
                        decoder: Decoder::new(fields, KeySource::None, TimeSource::Broker)?,
                        payload: Vec::new(),
                    })
                }
            };
            let before = links.last();
            let behind = |end: Option<usize>, own: usize| {
                let start = end.unwrap_or(0);
                start..start + own
            };
            let values = own.states.iter().filter(|s| s.kind == StateKind::Value).count();
            links.push(Link {
                name: chained.map_or_else(|| stage.name.clone(), |link| link.name.clone()),
                udf,
                bridge,
                outputs: behind(before.map(|l| l.outputs.end), own.outputs.len()),
                states: behind(before.map(|l| l.states.end), own.states.len()),
                values: behind(before.map(|l| l.values.end), values),
                timers: behind(before.map(|l| l.timers.end), own.timers.len()),
                wants_seeds: own.capabilities.contains(&Capability::Random),
            });
        }
        let is_broadcast = |input: &Input| input.broadcast;
        let is_event_time = |timer: &TimerSpec| timer.domain == TimeDomain::EventTime;
        Ok(Self {
            broadcast: whole.inputs.iter().map(is_broadcast).collect(),
            event_time: whole.timers.iter().map(is_event_time).collect(),
            outputs: whole.outputs.len(),
            values: links.last().map_or(0, |link| link.values.end),
            links,
        })
    }

    /// Adds what link `at` did to the whole, and lets the links that it feeds do theirs.
    fn follow(
        &mut self,
        at: usize,
        mut effects: Effects,
        scope: &Scope,
        causes: &Causes<'_>,
        state: &mut dyn CallState,
        whole: &mut Whole,
    ) -> Result<(), Fault> {
        for next in at + 1..self.links.len() {
            let Some(bridge) = self.links[next].bridge.as_mut().filter(|b| b.from.0 == at) else {
                continue;
            };
            let emitted = &effects.emitted[bridge.from.1];
            let Some(first) = emitted.causes.first() else { continue };
            if causes.key_of.is_empty() {
                let name = &self.links[next].name;
                return Err(Fault::Failed {
                    index: scope.causes[*first as usize],
                    message: format!(
                        "stage `{name}` has the keys of the stage before it, and a record of a broadcast input has none"
                    ),
                });
            }
            let (batch, scope) = self.links[next].batch(emitted, scope, causes)?;
            let link = &mut self.links[next];
            let mut own = LinkState { state, base: link.states.start as u32, keys: &scope.keys };
            let answer = link.udf.process(&batch, &mut own);
            let effects = answer.map_err(|fault| link.blamed(fault, &scope))?;
            self.follow(next, effects, &scope, causes, state, whole)?;
        }
        whole.add(&self.links[at], &mut effects, scope);
        Ok(())
    }
}

impl Udf for Chain {
    fn process(&mut self, batch: &Batch, state: &mut dyn CallState) -> Result<Effects, Fault> {
        let head = &mut self.links[0];
        let own = Batch {
            values: batch.values[head.values.clone()].to_vec(),
            seeds: if head.wants_seeds { batch.seeds.clone() } else { Vec::new() },
            input: batch.input,
            keys: batch.keys.clone(),
            key_of: batch.key_of.clone(),
            columns: batch.columns.clone(),
            event_times: batch.event_times.clone(),
            watermarks: batch.watermarks.clone(),
            input_watermarks: batch.input_watermarks.clone(),
            processing_time: batch.processing_time,
            broadcast_epoch: batch.broadcast_epoch,
        };
        let effects = head.udf.process(&own, state)?;
        let has_keys =
            !self.broadcast.get(batch.input as usize).is_some_and(|broadcast| *broadcast);
        let causes = Causes {
            keys: &batch.keys,
            key_of: if has_keys { &batch.key_of } else { &[] },
            times: &batch.event_times,
            watermarks: &batch.watermarks,
            values: &batch.values,
            seeds: &batch.seeds,
            processing_time: batch.processing_time,
            broadcast_epoch: batch.broadcast_epoch,
        };
        let scope = Scope {
            causes: (0..batch.key_of.len() as u32).collect(),
            keys: (0..batch.keys.len() as u32).collect(),
        };
        let mut whole = Whole::new(self.outputs, self.values);
        self.follow(0, effects, &scope, &causes, state, &mut whole)?;
        Ok(whole.effects())
    }

    fn on_timer(
        &mut self,
        batch: &TimerBatch,
        state: &mut dyn CallState,
    ) -> Result<Effects, Fault> {
        // Outputs of a timer come before the advance that fires it.
        let watermarks: Vec<i64> = batch
            .timers
            .iter()
            .map(|&timer| match self.event_time[timer as usize] {
                true => batch.watermark_before,
                false => batch.watermark,
            })
            .collect();
        let causes = Causes {
            keys: &batch.keys,
            key_of: &batch.key_of,
            times: &batch.times,
            watermarks: &watermarks,
            values: &batch.values,
            seeds: &batch.seeds,
            processing_time: batch.processing_time,
            broadcast_epoch: batch.broadcast_epoch,
        };
        let mut whole = Whole::new(self.outputs, self.values);
        let mut from = 0;
        // Timers of one link at a time, in their order. No two are of the same key.
        while from < batch.timers.len() {
            let is_of = |link: &Link, i: usize| link.timers.contains(&(batch.timers[i] as usize));
            let at =
                self.links.iter().position(|link| is_of(link, from)).expect("a declared timer");
            let count =
                (from..batch.timers.len()).take_while(|&i| is_of(&self.links[at], i)).count();
            let scope = causes.scope((from as u32..(from + count) as u32).collect());
            let link = &mut self.links[at];
            let own = TimerBatch {
                keys: causes.keys_of(&scope),
                key_of: scope.key_of(&causes),
                timers: batch.timers[from..from + count]
                    .iter()
                    .map(|timer| timer - link.timers.start as u32)
                    .collect(),
                times: batch.times[from..from + count].to_vec(),
                values: link.values(&scope, &causes),
                watermark: batch.watermark,
                watermark_before: batch.watermark_before,
                seeds: match link.wants_seeds {
                    true => batch.seeds[from..from + count].to_vec(),
                    false => Vec::new(),
                },
                processing_time: batch.processing_time,
                broadcast_epoch: batch.broadcast_epoch,
            };
            let mut states = LinkState { state, base: link.states.start as u32, keys: &scope.keys };
            let answer = link.udf.on_timer(&own, &mut states);
            let effects = answer.map_err(|fault| link.blamed(fault, &scope))?;
            self.follow(at, effects, &scope, &causes, state, &mut whole)?;
            from += count;
        }
        Ok(whole.effects())
    }

    fn fuel_used(&self) -> u64 {
        self.links.iter().map(|link| link.udf.fuel_used()).sum()
    }
}

impl Link {
    /// What is emitted for this link, as its batch.
    fn batch(
        &mut self,
        emitted: &Emitted,
        scope: &Scope,
        causes: &Causes<'_>,
    ) -> Result<(Batch, Scope), Fault> {
        let bridge = self.bridge.as_mut().expect("the first link is fed by the executor");
        let own = causes.scope(emitted.causes.iter().map(|&c| scope.causes[c as usize]).collect());
        let mut columns = bridge.decoder.columns();
        for (item, &cause) in own.causes.iter().enumerate() {
            bridge.payload.clear();
            bridge.encoder.encode(emitted, item, &mut bridge.payload);
            let time = causes.times[cause as usize];
            let decoded =
                bridge.decoder.decode(&bridge.payload, "", &NoHeaders, time, &mut columns);
            decoded.map_err(|error| Fault::Failed {
                index: cause,
                message: format!("stage `{}`: {error}", self.name),
            })?;
        }
        let of = |values: &[i64]| own.causes.iter().map(|&c| values[c as usize]).collect();
        let seed = |(item, &cause): (usize, &u32)| {
            mix(causes.seeds[cause as usize]
                ^ mix(((self.outputs.start as u64) << 32) | item as u64))
        };
        let batch = Batch {
            input: 0,
            keys: causes.keys_of(&own),
            key_of: own.key_of(causes),
            columns: columns.columns,
            values: self.values(&own, causes),
            event_times: of(causes.times),
            watermarks: of(causes.watermarks),
            input_watermarks: Vec::new(),
            seeds: match self.wants_seeds {
                true => own.causes.iter().enumerate().map(seed).collect(),
                false => Vec::new(),
            },
            processing_time: causes.processing_time,
            broadcast_epoch: causes.broadcast_epoch,
        };
        Ok((batch, own))
    }

    /// Its `value` states of the keys in scope.
    fn values(&self, scope: &Scope, causes: &Causes<'_>) -> Vec<Stored> {
        let of_keys = |all: &Stored| {
            let mut own = Stored::default();
            for (i, &key) in scope.keys.iter().enumerate() {
                own.present.push(i, all.present.has(key as usize));
                own.items.push(all.items.get(key as usize));
            }
            own
        };
        causes.values[self.values.clone()].iter().map(of_keys).collect()
    }

    /// A fault of this link as one of the whole call.
    fn blamed(&self, fault: Fault, scope: &Scope) -> Fault {
        let text = |message: String| match self.bridge {
            Some(_) => format!("stage `{}`: {message}", self.name),
            None => message,
        };
        match fault {
            Fault::Failed { index, message } => Fault::Failed {
                index: scope.causes.get(index as usize).copied().unwrap_or(u32::MAX),
                message: text(message),
            },
            Fault::Trapped { message } => Fault::Trapped { message: text(message) },
            Fault::Host { message } => Fault::Host { message: text(message) },
        }
    }
}

impl Causes<'_> {
    /// The scope of a call for these causes: keys in the order of their first appearance.
    fn scope(&self, causes: Vec<u32>) -> Scope {
        let mut seen = vec![false; self.keys.len()];
        let mut keys = Vec::new();
        for &cause in &causes {
            let key = self.key_of[cause as usize];
            if !std::mem::replace(&mut seen[key as usize], true) {
                keys.push(key);
            }
        }
        Scope { causes, keys }
    }

    fn keys_of(&self, scope: &Scope) -> Blob {
        let mut keys = Blob::default();
        scope.keys.iter().for_each(|&key| keys.push(self.keys.get(key as usize)));
        keys
    }
}

impl Scope {
    /// Per record or timer the index of its key among those in scope.
    fn key_of(&self, causes: &Causes<'_>) -> Vec<u32> {
        let mut place = vec![0; causes.keys.len()];
        for (own, &key) in self.keys.iter().enumerate() {
            place[key as usize] = own as u32;
        }
        let key = |&cause: &u32| place[causes.key_of[cause as usize] as usize];
        self.causes.iter().map(key).collect()
    }
}

/// The states of one link among those of the chain.
struct LinkState<'a> {
    state: &'a mut dyn CallState,
    base: u32,
    keys: &'a [u32],
}

impl LinkState<'_> {
    fn key(&self, key: u32) -> u32 {
        // Of a broadcast state it is 0 whatever the keys are.
        self.keys.get(key as usize).copied().unwrap_or(0)
    }
}

impl CallState for LinkState<'_> {
    fn map_get(&mut self, state: u32, key: u32, entry: &[u8]) -> Option<Vec<u8>> {
        self.state.map_get(self.base + state, self.key(key), entry)
    }

    fn map_write(&mut self, state: u32, key: u32, entry: &[u8], value: Option<&[u8]>) {
        self.state.map_write(self.base + state, self.key(key), entry, value);
    }

    fn map_scan(
        &mut self,
        state: u32,
        key: u32,
        after: Option<&[u8]>,
        limit: Limit,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.state.map_scan(self.base + state, self.key(key), after, limit)
    }

    fn map_clear(&mut self, state: u32, key: u32) {
        self.state.map_clear(self.base + state, self.key(key));
    }

    fn list_length(&mut self, state: u32, key: u32) -> u64 {
        self.state.list_length(self.base + state, self.key(key))
    }

    fn list_read(&mut self, state: u32, key: u32, start: u64, limit: Limit) -> Vec<Vec<u8>> {
        self.state.list_read(self.base + state, self.key(key), start, limit)
    }

    fn list_write(&mut self, state: u32, key: u32, index: u64, item: &[u8]) {
        self.state.list_write(self.base + state, self.key(key), index, item);
    }

    fn list_clear(&mut self, state: u32, key: u32) {
        self.state.list_clear(self.base + state, self.key(key));
    }
}

/// The effects of a whole call while its links add theirs.
struct Whole {
    emitted: Vec<Emitted>,
    written: Vec<Written>,
    /// Cause, timer, time, whether it is set.
    timers: Vec<(u32, u32, i64, bool)>,
}

impl Whole {
    fn new(outputs: usize, values: usize) -> Self {
        Self {
            emitted: (0..outputs).map(|_| Emitted::default()).collect(),
            written: (0..values).map(|_| Written::default()).collect(),
            timers: Vec::new(),
        }
    }

    fn add(&mut self, link: &Link, effects: &mut Effects, scope: &Scope) {
        for (whole, own) in self.emitted[link.outputs.clone()].iter_mut().zip(&mut effects.emitted)
        {
            let rows = whole.causes.len();
            whole.causes.extend(own.causes.iter().map(|&cause| scope.causes[cause as usize]));
            let added = own.causes.len();
            if whole.columns.is_empty() {
                whole.columns = std::mem::take(&mut own.columns);
            } else {
                for (all, column) in whole.columns.iter_mut().zip(&own.columns) {
                    append(all, rows, column, added);
                }
            }
        }
        for (whole, own) in self.written[link.values.clone()].iter_mut().zip(&effects.written) {
            for (i, &key) in own.keys.iter().enumerate() {
                whole.present.push(whole.keys.len(), own.present.has(i));
                whole.keys.push(scope.keys.get(key as usize).copied().unwrap_or(key));
                whole.items.push(own.items.get(i));
            }
        }
        let changes = &effects.timer_changes;
        self.timers.extend((0..changes.causes.len()).map(|i| {
            (
                scope.causes[changes.causes[i] as usize],
                changes.timers[i] + link.timers.start as u32,
                changes.times[i],
                changes.present.has(i),
            )
        }));
    }

    fn effects(mut self) -> Effects {
        // Changes of one cause stay in the order in which the links made them.
        self.timers.sort_by_key(|(cause, ..)| *cause);
        let mut timer_changes = TimerChanges::default();
        for (i, (cause, timer, time, set)) in self.timers.into_iter().enumerate() {
            timer_changes.causes.push(cause);
            timer_changes.timers.push(timer);
            timer_changes.times.push(time);
            timer_changes.present.push(i, set);
        }
        Effects { emitted: self.emitted, written: self.written, timer_changes }
    }
}

/// Appends `count` items of a column to another of `rows` items.
fn append(all: &mut Column, rows: usize, column: &Column, count: usize) {
    if !(all.present.0.is_empty() && column.present.0.is_empty()) {
        let mut present = Presence::default();
        (0..rows).for_each(|i| present.push(i, all.present.has(i)));
        (0..count).for_each(|i| present.push(rows + i, column.present.has(i)));
        all.present = present;
    }
    match (&mut all.values, &column.values) {
        (Values::Booleans(all), Values::Booleans(more)) => all.extend_from_slice(more),
        (Values::Integers(all), Values::Integers(more)) => all.extend_from_slice(more),
        (Values::Floats(all), Values::Floats(more)) => all.extend_from_slice(more),
        (Values::Blobs(all), Values::Blobs(more)) => more.iter().for_each(|item| all.push(item)),
        _ => unreachable!("the effects were checked against the description"),
    }
}
