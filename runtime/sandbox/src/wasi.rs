//! What is left of WASI: the interfaces that a language's standard library imports
//! whether it needs them or not, without the world behind them.
//!
//! The environment is empty, there are no files, printing is logging, the clock stands at the
//! batch's processing time, random numbers follow from the batch's first seed (or from a
//! constant without the capability `random`) and every other function traps with its name.

use crate::fault::Refused;
use crate::host::{Host, Stream};
use crate::imports::charge;
use crate::interfaces::{is_stubbed, split};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource,
    ResourceType, WasmList,
};
use wasmtime::{Result, StoreContextMut};

type Store<'a> = StoreContextMut<'a, Host>;

/// Every resource of these interfaces. Which stream one is lies in its number.
struct Stub;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Bytes that a stream takes at a time.
const WRITE_BYTES: u64 = 4096;
/// Random bytes of one call.
const RANDOM_BYTES: u64 = 64 << 10;
/// Fuel of a stub, about what a call of the host costs in guest instructions.
const STUB_FUEL: u64 = 100;
/// `insecure-seed`, which hash maps start from: a constant, so that their order is the same at
/// every replay.
const HASH_SEED: (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);

#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Stub>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower, Lift)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Written = (std::result::Result<(), StreamError>,);

/// Defines what the component imports of WASI, by looking at what that is.
pub(crate) fn define(linker: &mut Linker<Host>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
    for (name, import) in component.component_type().imports(&engine) {
        let (interface, _) = split(name);
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        if !is_stubbed(interface) {
            continue;
        }
        let mut linked = linker.instance(name)?;
        for (item, export) in instance.exports(&engine) {
            match export.ty {
                ComponentItem::Resource(_) => {
                    linked.resource(item, ResourceType::host::<Stub>(), |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(_) if !define_known(&mut linked, interface, item)? => {
                    let full = format!("{name} {item}");
                    linked.func_new(item, move |_, _, _, _| {
                        Err(Refused::error(format!("{full} is called, which UDFs do not get")))
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Defines a function that does something; whether it is one.
fn define_known(
    linked: &mut LinkerInstance<'_, Host>,
    interface: &str,
    item: &str,
) -> Result<bool> {
    let interface = interface.strip_prefix("wasi:").unwrap_or(interface);
    match interface.split('/').next().unwrap_or_default() {
        "cli" => define_cli(linked, item),
        "io" => define_io(linked, item),
        "clocks" => define_clocks(linked, interface, item),
        "random" => define_random(linked, item),
        "filesystem" if item == "get-directories" => {
            stub(linked, item, |_, (): ()| Ok((Vec::<(Resource<Stub>, String)>::new(),)))?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Defines a function that needs little. It costs fuel like any other import: a guest must not spend time in the host for nothing.
fn stub<P, R>(
    linked: &mut LinkerInstance<'_, Host>,
    item: &str,
    answer: impl Fn(&mut Host, P) -> Result<R> + Send + Sync + 'static,
) -> Result<()>
where
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    linked.func_wrap(item, move |mut store: Store<'_>, arguments: P| {
        charge(&mut store, STUB_FUEL, 0)?;
        answer(store.data_mut(), arguments)
    })
}

fn define_cli(linked: &mut LinkerInstance<'_, Host>, item: &str) -> Result<bool> {
    match item {
        "get-environment" => {
            stub(linked, item, |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
        }
        "get-arguments" => stub(linked, item, |_, (): ()| Ok((Vec::<String>::new(),)))?,
        "initial-cwd" => stub(linked, item, |_, (): ()| Ok((None::<String>,)))?,
        "exit" => stub(linked, item, |_, (_,): (std::result::Result<(), ()>,)| -> Result<()> {
            Err(Refused::error("exit is called; a UDF returns"))
        })?,
        "get-stdin" => stub(linked, item, |_, (): ()| Ok((Resource::<Stub>::new_own(0),)))?,
        "get-stdout" => {
            stub(linked, item, |_, (): ()| Ok((Resource::<Stub>::new_own(STDOUT),)))?;
        }
        "get-stderr" => {
            stub(linked, item, |_, (): ()| Ok((Resource::<Stub>::new_own(STDERR),)))?;
        }
        "get-terminal-stdin" | "get-terminal-stdout" | "get-terminal-stderr" => {
            stub(linked, item, |_, (): ()| Ok((None::<Resource<Stub>>,)))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn define_io(linked: &mut LinkerInstance<'_, Host>, item: &str) -> Result<bool> {
    match item {
        "[method]output-stream.check-write" => {
            stub(linked, item, |_, (_,): (Resource<Stub>,)| {
                Ok((Ok::<u64, StreamError>(WRITE_BYTES),))
            })?;
        }
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            linked.func_wrap(item, print)?;
        }
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            stub(linked, item, |_, (_,): (Resource<Stub>,)| -> Result<Written> { Ok((Ok(()),)) })?;
        }
        "[method]output-stream.subscribe" => {
            stub(linked, item, |_, (_,): (Resource<Stub>,)| Ok((Resource::<Stub>::new_own(0),)))?;
        }
        "[method]input-stream.read" | "[method]input-stream.blocking-read" => {
            stub(linked, item, |_, (_, _): (Resource<Stub>, u64)| {
                Ok((Err::<Vec<u8>, StreamError>(StreamError::Closed),))
            })?;
        }
        "[method]pollable.ready" => {
            stub(linked, item, |_, (_,): (Resource<Stub>,)| Ok((true,)))?;
        }
        "[method]pollable.block" => {
            stub(linked, item, |_, (_,): (Resource<Stub>,)| Ok(()))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn print(mut store: Store<'_>, (stream, bytes): (Resource<Stub>, WasmList<u8>)) -> Result<Written> {
    charge(&mut store, STUB_FUEL, bytes.len())?;
    let bytes = bytes.as_le_slice(&store).to_vec();
    let stream = if stream.rep() == STDERR { Stream::Err } else { Stream::Out };
    store.data_mut().speech.print(stream, &bytes);
    Ok((Ok(()),))
}

fn define_clocks(
    linked: &mut LinkerInstance<'_, Host>,
    interface: &str,
    item: &str,
) -> Result<bool> {
    match (interface, item) {
        ("clocks/wall-clock", "now") => stub(linked, item, |host, (): ()| {
            let now = host.call.processing_time.max(0) as u64;
            Ok((Datetime { seconds: now / 1000, nanoseconds: (now % 1000) as u32 * 1_000_000 },))
        })?,
        ("clocks/wall-clock", "resolution") => {
            stub(linked, item, |_, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 1_000_000 },)))?;
        }
        ("clocks/monotonic-clock", "now") => stub(linked, item, |host, (): ()| {
            Ok((host.call.processing_time.max(0) as u64 * 1_000_000,))
        })?,
        ("clocks/monotonic-clock", "resolution") => {
            stub(linked, item, |_, (): ()| Ok((1_000_000u64,)))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn define_random(linked: &mut LinkerInstance<'_, Host>, item: &str) -> Result<bool> {
    match item {
        "get-random-bytes" | "get-insecure-random-bytes" => {
            linked.func_wrap(item, |mut store: Store<'_>, (len,): (u64,)| {
                if len > RANDOM_BYTES {
                    return Err(Refused::error(format!(
                        "{len} random bytes are wanted at once; the limit is {RANDOM_BYTES}"
                    )));
                }
                charge(&mut store, STUB_FUEL, len as usize)?;
                let call = &mut store.data_mut().call;
                let words = std::iter::repeat_with(|| call.next_random().to_le_bytes());
                Ok((words.flatten().take(len as usize).collect::<Vec<u8>>(),))
            })?;
        }
        "get-random-u64" | "get-insecure-random-u64" => {
            stub(linked, item, |host, (): ()| Ok((host.call.next_random(),)))?;
        }
        "insecure-seed" => stub(linked, item, |_, (): ()| Ok((HASH_SEED,)))?,
        _ => return Ok(false),
    }
    Ok(true)
}
