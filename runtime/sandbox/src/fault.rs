//! What went wrong in a guest, in words.

use crate::host::Host;
use crate::limits::STACK_BYTES;
use std::fmt::Write;
use thiserror::Error;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

/// Frames of a backtrace that are shown. A deep recursion has thousands.
const FRAMES: usize = 24;

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

/// Whether an error is the machine's and not the guest's.
pub(crate) fn is_host(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>() || error.is::<wasmtime::error::OutOfMemory>()
}

/// What happened, with the guest's last words and the backtrace.
pub(crate) fn describe(error: &wasmtime::Error, host: &mut Host, fuel_limit: u64) -> String {
    let refusal = host.memory.refused;
    let words = host.speech.end();
    let mut text = if let Some(refused) = error.downcast_ref::<Refused>() {
        refused.to_string()
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
            (Some(trap), None) => format!("trap: {trap}"),
            (None, None) => error.root_cause().to_string(),
        }
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        write_backtrace(backtrace, &mut text);
    }
    text
}

fn write_backtrace(backtrace: &WasmBacktrace, text: &mut String) {
    let frames = backtrace.frames();
    for frame in &frames[..frames.len().min(FRAMES)] {
        let symbols = frame.symbols();
        if symbols.is_empty() {
            let name = frame
                .func_name()
                .map_or_else(|| format!("function {}", frame.func_index()), demangle);
            let _ = write!(text, "\n  at {name}");
        }
        for symbol in symbols {
            let name = symbol
                .name()
                .or(frame.func_name())
                .map_or_else(|| "a function without name".into(), demangle);
            let _ = write!(text, "\n  at {name}");
            if let (Some(file), Some(line)) = (symbol.file(), symbol.line()) {
                let _ = write!(text, " ({file}:{line})");
            }
        }
    }
    if frames.len() > FRAMES {
        let _ = write!(text, "\n  and {} more", frames.len() - FRAMES);
    }
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
