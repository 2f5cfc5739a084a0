//! The contract's imports: state, log, metrics, config.
//!
//! An import that cannot be answered traps. Each call costs fuel, so that the fuel limit bounds
//! the time a guest spends in the host as well.

use crate::effects::not_writable;
use crate::fault::Refused;
use crate::host::{GrantedState, Host};
use crate::limits::*;
use crate::observer::LogLevel;
use millstream_core::description::StateKind;
use millstream_core::udf::{CallState, Limit};
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, WasmList, WasmStr};
use wasmtime::{Result, StoreContextMut, Trap};

/// Fuel of a call to the state, about what it costs in guest instructions when the
/// state is in memory. A byte costs one more.
const STATE_FUEL: u64 = 1_000;
/// Fuel of a log message or metric. A byte costs one more.
const SPEECH_FUEL: u64 = 500;

type Store<'a> = StoreContextMut<'a, Host>;
type Bytes = WasmList<u8>;

/// `log.level`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[expect(dead_code, reason = "lifting makes them without naming them")]
#[repr(u8)]
enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// Defines the imports of every UDF.
pub(crate) fn define(linker: &mut Linker<Host>) -> Result<()> {
    define_maps(&mut linker.instance("millstream:udf/state@0.1.0")?)?;
    define_lists(&mut linker.instance("millstream:udf/state@0.1.0")?)?;
    linker.instance("millstream:udf/log@0.1.0")?.func_wrap(
        "write",
        |mut store: Store<'_>, (level, message): (Level, WasmStr)| {
            let message = message.to_str(&store)?.into_owned();
            charge(&mut store, SPEECH_FUEL, message.len())?;
            let level = match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            };
            store.data_mut().speech.log(level, &message);
            Ok(())
        },
    )?;
    define_metrics(&mut linker.instance("millstream:udf/metrics@0.1.0")?)?;
    linker.instance("millstream:udf/config@0.1.0")?.func_wrap(
        "get",
        |mut store: Store<'_>, (): ()| {
            let host = store.data();
            if !host.granted.config {
                return Err(not_granted("config"));
            }
            let config = host.config.to_string();
            charge(&mut store, SPEECH_FUEL, config.len())?;
            Ok((config,))
        },
    )
}

fn define_metrics(metrics: &mut LinkerInstance<'_, Host>) -> Result<()> {
    metrics.func_wrap("counter-add", |mut store: Store<'_>, (name, delta): (WasmStr, u64)| {
        let name = metric(&mut store, &name)?;
        store.data_mut().speech.observer().counter_add(&name, delta);
        Ok(())
    })?;
    metrics.func_wrap("histogram-record", |mut store: Store<'_>, (name, value): (WasmStr, f64)| {
        let name = metric(&mut store, &name)?;
        // A NaN or an infinity would spoil the sum for good.
        if value.is_finite() {
            store.data_mut().speech.observer().histogram_record(&name, value);
        }
        Ok(())
    })
}

fn metric(store: &mut Store<'_>, name: &WasmStr) -> Result<String> {
    let name = name.to_str(&*store)?.into_owned();
    charge(store, SPEECH_FUEL, name.len())?;
    if !store.data().granted.metrics {
        return Err(not_granted("metrics"));
    }
    store.data_mut().speech.metric(&name).map_err(Refused::error)?;
    Ok(name)
}

fn not_granted(capability: &str) -> wasmtime::Error {
    Refused::error(format!(
        "{capability} is used, but the description does not list the capability"
    ))
}

fn define_maps(state: &mut LinkerInstance<'_, Host>) -> Result<()> {
    state.func_wrap("map-get", |mut store: Store<'_>, (id, key, entry): (u32, u32, Bytes)| {
        let entry = entry_key(&store, &entry)?;
        let value = with(&mut store, StateKind::Map, Access::Read, id, key, |state, key| {
            state.map_get(id, key, &entry)
        })?;
        charge(&mut store, 0, value.as_ref().map_or(0, Vec::len))?;
        Ok((value,))
    })?;
    state.func_wrap(
        "map-put",
        |mut store: Store<'_>, (id, key, entry, value): (u32, u32, Bytes, Bytes)| {
            let entry = entry_key(&store, &entry)?;
            let value = element(&mut store, id, &value)?;
            with(&mut store, StateKind::Map, Access::Write, id, key, |state, key| {
                state.map_write(id, key, &entry, Some(&value))
            })
        },
    )?;
    state.func_wrap(
        "map-delete",
        |mut store: Store<'_>, (id, key, entry): (u32, u32, Bytes)| {
            let entry = entry_key(&store, &entry)?;
            with(&mut store, StateKind::Map, Access::Write, id, key, |state, key| {
                state.map_write(id, key, &entry, None)
            })
        },
    )?;
    state.func_wrap(
        "map-scan",
        |mut store: Store<'_>, (id, key, after, limit): (u32, u32, Option<Bytes>, u32)| {
            let limit = read_limit(&store, limit)?;
            let after = after.map(|after| entry_key(&store, &after)).transpose()?;
            let scan = |state: &mut dyn CallState, key: u32| {
                state.map_scan(id, key, after.as_deref(), limit)
            };
            let entries = with(&mut store, StateKind::Map, Access::Read, id, key, scan)?;
            let bytes = entries.iter().map(|(entry, value)| entry.len() + value.len()).sum();
            check_read(limit, bytes)?;
            charge(&mut store, 0, bytes)?;
            Ok((entries,))
        },
    )?;
    state.func_wrap("map-clear", |mut store: Store<'_>, (id, key): (u32, u32)| {
        with(&mut store, StateKind::Map, Access::Write, id, key, |state, key| {
            state.map_clear(id, key)
        })
    })
}

fn define_lists(state: &mut LinkerInstance<'_, Host>) -> Result<()> {
    state.func_wrap("list-length", |mut store: Store<'_>, (id, key): (u32, u32)| {
        Ok((with(&mut store, StateKind::List, Access::Read, id, key, |state, key| {
            state.list_length(id, key)
        })?,))
    })?;
    state.func_wrap(
        "list-read",
        |mut store: Store<'_>, (id, key, start, limit): (u32, u32, u64, u32)| {
            let limit = read_limit(&store, limit)?;
            let items = with(&mut store, StateKind::List, Access::Read, id, key, |state, key| {
                state.list_read(id, key, start, limit)
            })?;
            let bytes = items.iter().map(Vec::len).sum();
            check_read(limit, bytes)?;
            charge(&mut store, 0, bytes)?;
            Ok((items,))
        },
    )?;
    state.func_wrap(
        "list-append",
        |mut store: Store<'_>, (id, key, item): (u32, u32, Bytes)| {
            let item = element(&mut store, id, &item)?;
            with(&mut store, StateKind::List, Access::Write, id, key, |state, key| {
                let end = state.list_length(id, key);
                state.list_write(id, key, end, &item);
            })
        },
    )?;
    state.func_wrap(
        "list-set",
        |mut store: Store<'_>, (id, key, index, item): (u32, u32, u64, Bytes)| {
            let item = element(&mut store, id, &item)?;
            with(&mut store, StateKind::List, Access::Write, id, key, |state, key| {
                let length = state.list_length(id, key);
                if index >= length {
                    return Err(Refused::error(format!(
                        "item {index} is set in a list of {length}"
                    )));
                }
                state.list_write(id, key, index, &item);
                Ok(())
            })?
        },
    )?;
    state.func_wrap("list-clear", |mut store: Store<'_>, (id, key): (u32, u32)| {
        with(&mut store, StateKind::List, Access::Write, id, key, |state, key| {
            state.list_clear(id, key)
        })
    })
}

/// What an import does with a state.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

/// Checks the indexes and calls the state.
fn with<R>(
    store: &mut Store<'_>,
    kind: StateKind,
    access: Access,
    id: u32,
    key: u32,
    call: impl FnOnce(&mut dyn CallState, u32) -> R,
) -> Result<R> {
    charge(store, STATE_FUEL, 0)?;
    let host = store.data_mut();
    let found = match host.granted.states.get(id as usize).copied() {
        Some(found) if found.kind == kind => found,
        Some(GrantedState { kind: found, .. }) => {
            let message = format!("state {id} is a {found:?}, not a {kind:?}").to_lowercase();
            return Err(Refused::error(message));
        }
        None => {
            let states = host.granted.states.len();
            return Err(Refused::error(format!("state {id} is used; {states} are declared")));
        }
    };
    let call_is_broadcast = host.call.broadcast;
    let allowed = match access {
        Access::Read => found.broadcast || !call_is_broadcast,
        Access::Write => found.broadcast == call_is_broadcast,
    };
    if !allowed {
        return Err(Refused::error(format!("state {id}: {}", not_writable(found.broadcast))));
    }
    if !found.broadcast && key as usize >= host.call.keys {
        return Err(Refused::error(format!(
            "key {key} is used; the call has {} keys",
            host.call.keys
        )));
    }
    match host.call.state.get() {
        Some(state) => Ok(call(state, if found.broadcast { 0 } else { key })),
        None => Err(Refused::error("state is used outside of process and on-timer")),
    }
}

fn entry_key(store: &Store<'_>, bytes: &Bytes) -> Result<Vec<u8>> {
    let bytes = bytes.as_le_slice(store);
    if bytes.len() > ENTRY_KEY_BYTES {
        return Err(Refused::error(format!(
            "an entry's key has {} bytes; the limit is {ENTRY_KEY_BYTES}",
            bytes.len()
        )));
    }
    Ok(bytes.to_vec())
}

/// An element of state `id`, which need not be declared: [`with`] looks at that.
fn element(store: &mut Store<'_>, id: u32, bytes: &Bytes) -> Result<Vec<u8>> {
    charge(store, 0, bytes.len())?;
    let min = store.data().granted.element_bytes_min.get(id as usize).copied().unwrap_or(0);
    let bytes = bytes.as_le_slice(&*store);
    if bytes.len() < min {
        return Err(Refused::error(format!(
            "an element of state {id} has {} bytes, and begins with {min} that say when it expires",
            bytes.len()
        )));
    }
    if bytes.len() > ELEMENT_BYTES {
        return Err(Refused::error(format!(
            "an element has {} bytes; the limit is {ELEMENT_BYTES}",
            bytes.len()
        )));
    }
    Ok(bytes.to_vec())
}

fn read_limit(store: &Store<'_>, limit: u32) -> Result<Limit> {
    if !(1..=READ_ITEMS).contains(&limit) {
        return Err(Refused::error(format!(
            "{limit} items are read at once; 1 to {READ_ITEMS} are possible"
        )));
    }
    // More the guest cannot take, so the host does not gather it.
    Ok(Limit { items: limit as usize, bytes: store.data().memory.limit })
}

/// Refuses what was read if there was more of it than the guest's memory.
fn check_read(limit: Limit, bytes: usize) -> Result<()> {
    if bytes < limit.bytes {
        return Ok(());
    }
    Err(Refused::error(format!(
        "the {} items read at once have more than the {} bytes of the guest's memory: read fewer at a time",
        limit.items, limit.bytes
    )))
}

/// Takes fuel for work that the host does.
pub(crate) fn charge(store: &mut Store<'_>, fuel: u64, bytes: usize) -> Result<()> {
    let left = store.get_fuel()?.checked_sub(fuel + bytes as u64);
    store.set_fuel(left.unwrap_or(0))?;
    match left {
        Some(_) => Ok(()),
        None => Err(Trap::OutOfFuel.into()),
    }
}
