//! What a local run writes, shared by its threads.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::dead_letter::DeadLetter;
use crate::error::EngineError;

/// Writers that all workers share.
pub struct Writers {
    output: Mutex<Box<dyn Write + Send>>,
    dead_letters: Mutex<Option<Box<dyn Write + Send>>>,
    first: Mutex<Option<String>>,
}

impl Writers {
    pub fn new(output: Box<dyn Write + Send>, dead_letters: Option<Box<dyn Write + Send>>) -> Self {
        Self {
            output: Mutex::new(output),
            dead_letters: Mutex::new(dead_letters),
            first: Mutex::new(None),
        }
    }

    /// Writes whole lines.
    pub fn lines(&self, lines: &[u8]) -> Result<(), EngineError> {
        failed("writing the output", lock(&self.output).write_all(lines))
    }

    /// Writes a dead letter as it is in an output.
    pub fn dead_letter(&self, bytes: &[u8]) -> Result<(), EngineError> {
        let Some((letter, payload)) = DeadLetter::read(bytes) else { return Ok(()) };
        lock(&self.first).get_or_insert_with(|| {
            format!("{} {}: {}", letter.source, letter.sequence, letter.cause)
        });
        let mut writer = lock(&self.dead_letters);
        let Some(writer) = &mut *writer else { return Ok(()) };
        let line =
            serde_json::json!({ "letter": letter, "payload": String::from_utf8_lossy(payload) });
        failed("writing the dead letters", writeln!(writer, "{line}"))
    }

    /// Writes what is buffered; the cause of the first dead letter.
    pub fn finish(self) -> Result<Option<String>, EngineError> {
        failed("writing the output", lock(&self.output).flush())?;
        if let Some(letters) = &mut *lock(&self.dead_letters) {
            failed("writing the dead letters", letters.flush())?;
        }
        Ok(self.first.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(what: &'static str, result: std::io::Result<()>) -> Result<(), EngineError> {
    result.map_err(|cause| EngineError::Io { what, cause })
}
