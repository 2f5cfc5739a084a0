//! What went wrong in a guest, in words.

use crate::host::Host;
use crate::limits::{FAULT_BYTES, STACK_BYTES};
use crate::text::{self, cut, plain};
use thiserror::Error;
use wasmtime::{FrameInfo, FrameSymbol, PoolConcurrencyLimitError, Trap, WasmBacktrace};

/// Frames of a backtrace. A deep recursion has thousands.
pub(crate) const FRAMES: usize = 32;
/// A function's name: generic ones can fill pages.
const NAME_BYTES: usize = 160;
/// What is looked at of a function's name in the file.
const MANGLED_BYTES: usize = 16 << 10;

/// An import refuses what the guest asks: the guest is to blame.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Refused(pub String);

impl Refused {
    /// As the error of an import.
    pub fn error(message: impl Into<String>) -> wasmtime::Error {
        wasmtime::Error::new(Self(message.into()))
    }
}

/// The machine cannot do what the guest may ask: the guest is not to blame.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct MachineFailure(String);

impl MachineFailure {
    /// As the error of something a guest does.
    pub fn error(message: String) -> wasmtime::Error {
        wasmtime::Error::new(Self(message))
    }
}

/// Whether an error is the machine's and not the guest's.
pub(crate) fn is_host(error: &wasmtime::Error) -> bool {
    error.is::<MachineFailure>()
        || error.is::<PoolConcurrencyLimitError>()
        || error.is::<wasmtime::error::OutOfMemory>()
}

/// Blames the machine for an instance that cannot be made, unless code of the guest ran and trapped or the
/// guest wants more memory than it may have.
pub(crate) fn of_instantiation(error: wasmtime::Error, host: &Host) -> wasmtime::Error {
    let guest = error.is::<Trap>()
        || error.is::<WasmBacktrace>()
        || error.is::<Refused>()
        || host.memory.refused.is_some();
    if guest || is_host(&error) { error } else { MachineFailure::error(format!("{error:#}")) }
}

/// What happened, with the guest's last words and the backtrace.
pub(crate) fn describe(error: &wasmtime::Error, host: &mut Host, fuel_limit: u64) -> String {
    let refusal = host.memory.refused;
    let words = host.speech.end();
    let mut text = if let Some(refused) = error.downcast_ref::<Refused>() {
        refused.to_string()
    } else if let Some(failure) = error.downcast_ref::<MachineFailure>() {
        failure.to_string()
    } else {
        match (error.downcast_ref::<Trap>(), refusal) {
            (Some(Trap::OutOfFuel), _) => {
                format!("out of fuel: the limit of a call is {fuel_limit}")
            }
            (Some(Trap::StackOverflow), _) => {
                format!("stack overflow: the limit is {STACK_BYTES} bytes of compiled code's stack")
            }
            // A guest that cannot get memory stops in some way of its own.
            (_, Some(refusal)) => refusal.to_string(),
            (Some(Trap::UnreachableCodeReached), None) if !words.is_empty() => {
                let words = words.split("\nnote: run with").next().unwrap_or(words);
                format!("panic: {words}")
            }
            // Compilers for wasm keep a second stack in memory, below which there is nothing.
            (Some(Trap::MemoryOutOfBounds), None) if is_deep(error) => {
                "stack overflow, probably: out of bounds memory access in a deep recursion".into()
            }
            (Some(trap), None) => trap.to_string().replace("wasm trap: ", "trap: "),
            (None, None) => error.root_cause().to_string(),
        }
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        write_backtrace(backtrace, &mut text);
    }
    plain(&text, FAULT_BYTES).into_owned()
}

fn is_deep(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<WasmBacktrace>()
        .is_some_and(|backtrace| backtrace.frames().len() == FRAMES)
}

/// One line per function, also for inlined ones; a function that calls itself is named once. What a
/// Rust panic does before it ends in a trap is left out.
fn write_backtrace(backtrace: &WasmBacktrace, text: &mut String) {
    let lines: Vec<String> = backtrace.frames().iter().flat_map(frame_lines).collect();
    let machinery = |line: &String| {
        ["core::panicking::", "__rustc::rust_begin_unwind"].iter().any(|m| line.starts_with(m))
    };
    let first = lines.iter().rposition(machinery).map_or(0, |at| at + 1);
    for same in lines[first..].chunk_by(|a, b| a == b) {
        text.push_str("\n  at ");
        text.push_str(&same[0]);
        if same.len() > 1 {
            text.push_str(&format!(", {} times", same.len()));
        }
    }
    if backtrace.frames().len() == FRAMES {
        text.push_str("\n  and so on");
    }
}

/// Name and place of what was compiled into a function, innermost first.
fn frame_lines(frame: &FrameInfo) -> Vec<String> {
    let whole =
        frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangle);
    let symbols = frame.symbols();
    if symbols.is_empty() {
        return vec![whole];
    }
    let line = |(i, symbol): (usize, &FrameSymbol)| {
        let name = match symbol.name() {
            // The outermost is the one compiled, whose full name is known.
            Some(name) if i + 1 < symbols.len() => demangle(name),
            _ => whole.clone(),
        };
        match (symbol.file(), symbol.line()) {
            (Some(file), Some(line)) => {
                format!("{name} ({}:{line})", cut(short(file), NAME_BYTES))
            }
            _ => name,
        }
    };
    symbols.iter().enumerate().map(line).collect()
}

/// A file of Rust's own library without the place it was built in.
fn short(file: &str) -> &str {
    match file.find("/library/") {
        Some(at) if file.starts_with("/rustc/") => &file[at + 1..],
        _ => file,
    }
}

fn demangle(name: &str) -> String {
    text::display(rustc_demangle::demangle(cut(name, MANGLED_BYTES)), true, NAME_BYTES)
}
