//! A UDF that runs.

use crate::effects::{self, Called};
use crate::fault;
use crate::guest::{Answer, Functions};
use crate::host::Host;
use crate::limits::{FAILURE_BYTES, FAULT_BYTES, FUEL_TO_START, RECORDS_PER_CALL};
use crate::module::{Inner, Module};
use crate::observer::GuestObserver;
use crate::sandbox::new_store;
use crate::scope::{self, Lent};
use crate::text::plain;
use crate::wire;
use millstream_core::columns::{Batch, Effects, TimerBatch};
use millstream_core::description::Description;
use millstream_core::udf::{CallState, Fault, Udf};
use wasmtime::Store;

/// One instance of a module: one memory, one call at a time.
///
/// Wasm code is started before the first call, and again before the next call after a
/// trap: a trapped instance is never entered again.
pub struct Instance {
    module: Module,
    /// What the guest runs in, if it is started; else what its next store is made of.
    place: Place,
    fuel_used: u64,
}

enum Place {
    Started(Box<Started>),
    Idle(Box<Host>),
    /// In the middle of a call; stays so only if the host panics in it.
    Lost,
}

struct Started {
    store: Store<Host>,
    functions: Functions,
}

/// What is the same for records and timers.
struct Call {
    records: usize,
    keys: usize,
    /// Whether it is about records of a broadcast input.
    broadcast: bool,
    processing_time: i64,
    seed: Option<u64>,
}

impl Instance {
    /// An instance with the stage's configuration, a JSON object, that speaks to `observer`.
    pub fn new(module: &Module, config: &str, observer: Box<dyn GuestObserver>) -> Self {
        let inner = &module.inner;
        let host =
            Host::new(inner.limits.memory_bytes, config.into(), &inner.description, observer);
        Self { module: module.clone(), place: Place::Idle(Box::new(host)), fuel_used: 0 }
    }

    /// The module it runs.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Starts the guest if it is not, so that the first call does not have to.
    ///
    /// # Errors
    ///
    /// As a call's.
    pub fn start(&mut self) -> Result<(), Fault> {
        let started = self.take()?;
        self.place = Place::Started(started);
        Ok(())
    }

    fn take(&mut self) -> Result<Box<Started>, Fault> {
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Started(started) => Ok(started),
            Place::Idle(host) => self.start_with(host),
            Place::Lost => {
                Err(Fault::Host { message: "the host panicked in an earlier call".into() })
            }
        }
    }

    fn start_with(&mut self, mut host: Box<Host>) -> Result<Box<Started>, Fault> {
        let inner = &self.module.inner;
        host.restart();
        host.begin(0, false, 0, None);
        let mut store = new_store(inner.pre.engine(), *host, FUEL_TO_START);
        let fault = match start(inner, &mut store) {
            Ok((functions, description)) if description == inner.description => {
                store.data_mut().speech.end();
                return Ok(Box::new(Started { store, functions }));
            }
            Ok(_) => {
                Fault::Trapped { message: "describe answers differently than at upload".into() }
            }
            Err(error) => trapped(&error, store.data_mut(), FUEL_TO_START),
        };
        self.place = Place::Idle(Box::new(store.into_data()));
        Err(fault)
    }

    fn call(
        &mut self,
        call: &Call,
        state: &mut dyn CallState,
        enter: impl FnOnce(&mut Started) -> wasmtime::Result<Answer>,
    ) -> Result<Effects, Fault> {
        if call.records > RECORDS_PER_CALL {
            let message =
                format!("a call of {} records; the limit is {RECORDS_PER_CALL}", call.records);
            return Err(Fault::Host { message });
        }
        let mut started = self.take()?;
        let limit = self.module.inner.limits.fuel_per_record;
        started.store.set_fuel(limit).expect("the engine meters fuel");
        started.store.data_mut().begin(call.keys, call.broadcast, call.processing_time, call.seed);
        let answer = scope::lend(&mut *started, lent, state, enter);
        let left = started.store.get_fuel().expect("the engine meters fuel");
        self.fuel_used += limit.saturating_sub(left);
        let result = match answer {
            Err(error) => Err(trapped(&error, started.store.data_mut(), limit)),
            Ok((answer,)) => {
                started.store.data_mut().speech.end();
                self.judge(answer, call)
            }
        };
        self.place = match result {
            // What broke the contract once is not trusted with another call either.
            Err(Fault::Trapped { .. } | Fault::Host { .. }) => {
                Place::Idle(Box::new(started.store.into_data()))
            }
            _ => Place::Started(started),
        };
        result
    }

    fn judge(
        &self,
        answer: Result<wire::Effects, wire::Failure>,
        call: &Call,
    ) -> Result<Effects, Fault> {
        let contract = |fact| Fault::Trapped {
            message: plain(&format!("the contract is violated: {fact}"), FAULT_BYTES).into_owned(),
        };
        match answer {
            Ok(effects) => {
                let effects = Effects::from(effects);
                let inner = &self.module.inner;
                let called = Called {
                    description: &inner.description,
                    limits: &inner.limits,
                    records: call.records,
                    keys: call.keys,
                    broadcast: call.broadcast,
                };
                effects::check(&effects, &called).map_err(contract)?;
                Ok(effects)
            }
            Err(failure) if failure.index as usize >= call.records => Err(contract(format!(
                "record {} fails; the call has {} records",
                failure.index, call.records
            ))),
            Err(failure) => Err(Fault::Failed {
                index: failure.index,
                message: plain(&failure.message, FAILURE_BYTES).into_owned(),
            }),
        }
    }
}

fn start(inner: &Inner, store: &mut Store<Host>) -> wasmtime::Result<(Functions, Description)> {
    let instance =
        inner.pre.instantiate(&mut *store).map_err(|e| fault::of_instantiation(e, store.data()))?;
    let functions = inner.exports.of(store, &instance).map_err(|(_, error)| error)?;
    let (description,) = functions.describe.call(store, ())?;
    Ok((functions, description.into()))
}

fn lent(started: &mut Started) -> &mut Lent {
    &mut started.store.data_mut().call.state
}

#[cold]
fn trapped(error: &wasmtime::Error, host: &mut Host, fuel_limit: u64) -> Fault {
    let message = fault::describe(error, host, fuel_limit);
    if fault::is_host(error) { Fault::Host { message } } else { Fault::Trapped { message } }
}

impl Udf for Instance {
    fn process(&mut self, batch: &Batch, state: &mut dyn CallState) -> Result<Effects, Fault> {
        let inputs = &self.module.inner.description.inputs;
        let call = Call {
            records: batch.key_of.len(),
            keys: batch.keys.len(),
            broadcast: inputs.get(batch.input as usize).is_some_and(|i| i.broadcast),
            processing_time: batch.processing_time,
            seed: batch.seeds.first().copied(),
        };
        let columns = wire::columns(&batch.columns);
        let values = wire::stored(&batch.values);
        let lowered = wire::batch(batch, &columns, &values);
        self.call(&call, state, |started| {
            let process = started.functions.process;
            process.call(&mut started.store, (lowered,))
        })
    }

    fn on_timer(
        &mut self,
        batch: &TimerBatch,
        state: &mut dyn CallState,
    ) -> Result<Effects, Fault> {
        let call = Call {
            records: batch.key_of.len(),
            keys: batch.keys.len(),
            broadcast: false,
            processing_time: batch.processing_time,
            seed: batch.seeds.first().copied(),
        };
        let values = wire::stored(&batch.values);
        let lowered = wire::timer_batch(batch, &values);
        self.call(&call, state, |started| {
            let on_timer = started.functions.on_timer;
            on_timer.call(&mut started.store, (lowered,))
        })
    }

    /// Starts are not counted.
    fn fuel_used(&self) -> u64 {
        self.fuel_used
    }
}
