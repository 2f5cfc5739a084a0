//! The glue that `#[udf]` generates calls to: from a batch to effects, once for the component and
//! the test harness.

use crate::context::{BroadcastContext, Context, Records, TimerContext, Timers};
use crate::describe::Description;
use crate::error::{Error, Result};
use crate::frame::{Batch, Effects, Failure, Stored, TimerBatch, TimerChanges};
use crate::output::Outputs;
use crate::state::{Opening, States};

/// A user-defined function as a whole. `#[udf]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a UDF",
    note = "put `#[udf]` on its `impl` block, or on a function"
)]
pub trait Udf: Sized + 'static {
    /// Its keyed state.
    type State: States;
    /// Its broadcast state.
    type Broadcast: States;
    /// Its outputs.
    type Outputs: Outputs;
    /// Whether it asks for the stage's configuration. A component that does not has no such import.
    const CONFIGURED: bool;
    /// What it needs and gives.
    fn description() -> Description;
    /// A fresh instance; `config` is the stage's configuration, or nothing if it has not asked for
    /// one.
    fn create(config: Option<&str>) -> Result<Self>;
    /// Processes records in order.
    fn process_batch(&self, batch: Batch) -> Result<Effects, Failure>;
    /// Fires timers in order.
    fn fire_timers(&self, batch: TimerBatch) -> Result<Effects, Failure>;
}

/// Reads a configuration for [`Udf::create`].
pub fn configuration<C: serde::de::DeserializeOwned>(config: Option<&str>) -> Result<C> {
    serde_json::from_str(config.unwrap_or("{}"))
        .map_err(|error| Error::new(format_args!("the stage's `config` does not fit: {error}")))
}

/// Runs a handler for each record of a batch.
#[inline]
pub fn process<'b, S: States, B: States, O: Outputs>(
    records: &'b Records,
    values: Vec<Stored>,
    mut handle: impl FnMut(usize, &mut S, &B, &mut O, &mut Context<'b>) -> Result<()>,
) -> Result<Effects, Failure> {
    let mut opening =
        Opening::new(records.distinct_keys(), values).reading(records.broadcast_epoch());
    let (mut state, broadcast) = (S::open(&mut opening), B::open(&mut opening));
    let mut outputs = O::open(records.count());
    let mut context = Context::new(records);
    for i in 0..records.count() {
        let key = context.select(i);
        state.select(key);
        if S::TIMED {
            state.at(context.now());
        }
        outputs.select(i as u32);
        if let Err(error) = handle(i, &mut state, &broadcast, &mut outputs, &mut context) {
            return Err(error.at(i));
        }
    }
    Ok(close(state, broadcast, outputs, context.close()))
}

/// Runs a handler for each record of a batch of a broadcast input. The states of keys are not touched.
#[inline]
pub fn process_broadcast<'b, S: States, B: States, O: Outputs>(
    records: &'b Records,
    values: Vec<Stored>,
    mut handle: impl FnMut(usize, &mut B, &mut O, &mut BroadcastContext<'b>) -> Result<()>,
) -> Result<Effects, Failure> {
    let mut opening = Opening::new(0, values);
    let (state, mut broadcast) = (S::open(&mut opening), B::open(&mut opening));
    let mut outputs = O::open(records.count());
    let mut context = BroadcastContext::new(records);
    for i in 0..records.count() {
        context.select(i);
        outputs.select(i as u32);
        if let Err(error) = handle(i, &mut broadcast, &mut outputs, &mut context) {
            return Err(error.at(i));
        }
    }
    Ok(close(state, broadcast, outputs, TimerChanges::default()))
}

/// Runs a handler for each timer of a batch.
#[inline]
pub fn on_timer<'b, S: States, B: States, O: Outputs>(
    timers: &'b Timers,
    values: Vec<Stored>,
    mut handle: impl FnMut(&mut S, &B, &mut O, &mut TimerContext<'b>) -> Result<()>,
) -> Result<Effects, Failure> {
    let mut opening =
        Opening::new(timers.distinct_keys(), values).reading(timers.broadcast_epoch());
    let (mut state, broadcast) = (S::open(&mut opening), B::open(&mut opening));
    let mut outputs = O::open(timers.count());
    let mut context = TimerContext::new(timers);
    for i in 0..timers.count() {
        let key = context.select(i);
        state.select(key);
        if S::TIMED {
            state.at(context.now());
        }
        outputs.select(i as u32);
        if let Err(error) = handle(&mut state, &broadcast, &mut outputs, &mut context) {
            return Err(error.at(i));
        }
    }
    Ok(close(state, broadcast, outputs, context.close()))
}

fn close<S: States, B: States, O: Outputs>(
    state: S,
    broadcast: B,
    outputs: O,
    timer_changes: TimerChanges,
) -> Effects {
    let mut effects = Effects { timer_changes, ..Effects::default() };
    outputs.close(&mut effects.emitted);
    state.close(&mut effects.written);
    broadcast.close(&mut effects.written);
    effects
}

/// The host names inputs and timers by index; one that was not declared is its mistake.
#[cold]
#[inline(never)]
pub fn undeclared(what: &str, index: u32) -> ! {
    panic!("the host named {what} {index}, which is not declared")
}
