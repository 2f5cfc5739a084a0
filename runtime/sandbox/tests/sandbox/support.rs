//! Guests, batches and a state to run them with.

use millstream_core::columns::{Batch, Blob, Column, Presence, Stored, TimerBatch, Values};
use millstream_core::udf::{CallState, Fault, Limit};
use millstream_sandbox::{GuestObserver, Instance, Limits, LogLevel, Module, Sandbox};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The wasm file of a guest.
pub fn guest(name: &str) -> Vec<u8> {
    // The folder of the run: the build may come from another checkout.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = Path::new(&package).join("../../tests/guests/dist").join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo xtask build` first", path.display()))
}

/// Compiled code of all tests, so that each guest is compiled once.
pub fn code_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")
}

/// A sandbox with the usual limits and room for few instances: tests run many processes.
pub fn sandbox() -> Sandbox {
    sandbox_with(Limits { instances: 8, ..Limits::default() })
}

pub fn sandbox_with(limits: Limits) -> Sandbox {
    Sandbox::new(limits, Some(&code_folder())).unwrap()
}

/// The guest that does as it is told.
pub fn misbehave() -> Module {
    sandbox().compile(&guest("misbehave")).unwrap()
}

/// An instance of it, and what it says.
pub fn instance() -> (Instance, Heard) {
    let heard = Heard::default();
    (Instance::new(&misbehave(), "{}", Box::new(heard.clone())), heard)
}

/// One column of commands, all of one key, which has no value yet.
pub fn batch(commands: &[&str]) -> Batch {
    keyed(&commands.iter().map(|c| ("key", *c)).collect::<Vec<_>>())
}

/// Commands with their keys.
pub fn keyed(records: &[(&str, &str)]) -> Batch {
    let mut keys = Blob::default();
    let mut key_of = Vec::new();
    let mut commands = Blob::default();
    for (key, command) in records {
        let known = keys.iter().position(|k| k == key.as_bytes());
        let at = known.unwrap_or_else(|| {
            keys.push(key.as_bytes());
            keys.len() - 1
        });
        key_of.push(at as u32);
        commands.push(command.as_bytes());
    }
    let n = records.len();
    let mut stored =
        Stored { present: Presence(vec![0; keys.len().div_ceil(8)]), items: Blob::default() };
    (0..keys.len()).for_each(|_| stored.items.push(b""));
    Batch {
        input: 0,
        keys,
        key_of,
        columns: vec![Column { present: Presence::default(), values: Values::Blobs(commands) }],
        values: vec![stored],
        event_times: (0..n as i64).collect(),
        watermarks: vec![i64::MIN; n],
        processing_time: 1_700_000_000_123,
        ..Batch::default()
    }
}

/// Timers of one key.
pub fn timers(times: &[i64]) -> TimerBatch {
    let mut batch = TimerBatch {
        key_of: vec![0; times.len()],
        timers: vec![0; times.len()],
        times: times.to_vec(),
        values: vec![Stored { present: Presence(vec![0]), items: Blob::default() }],
        ..TimerBatch::default()
    };
    batch.keys.push(b"key");
    batch.values[0].items.push(b"");
    batch
}

/// The message of a trap; panics when there is none.
#[track_caller]
pub fn trap<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    match result {
        Err(Fault::Trapped { message }) => message,
        other => panic!("not a trap: {other:?}"),
    }
}

/// Items of a column of text.
pub fn texts(column: &Column) -> Vec<String> {
    match &column.values {
        Values::Blobs(blob) => {
            blob.iter().map(|i| String::from_utf8(i.to_vec()).unwrap()).collect()
        }
        other => panic!("not text: {other:?}"),
    }
}

/// An observer that remembers.
#[derive(Clone, Default)]
pub struct Heard(pub Arc<Mutex<Said>>);

#[derive(Default)]
pub struct Said {
    pub lines: Vec<(LogLevel, String)>,
    pub dropped: u64,
    pub counters: BTreeMap<String, u64>,
}

impl Heard {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    pub fn dropped(&self) -> u64 {
        self.0.lock().unwrap().dropped
    }
}

impl GuestObserver for Heard {
    fn log(&mut self, level: LogLevel, message: &str) {
        self.0.lock().unwrap().lines.push((level, message.to_owned()));
    }

    fn log_dropped(&mut self, messages: u64) {
        self.0.lock().unwrap().dropped += messages;
    }

    fn counter_add(&mut self, name: &str, delta: u64) {
        *self.0.lock().unwrap().counters.entry(name.to_owned()).or_default() += delta;
    }

    fn histogram_record(&mut self, _name: &str, _value: f64) {}
}

/// Lists and maps in memory.
#[derive(Default)]
pub struct Memory {
    pub maps: BTreeMap<(u32, u32), BTreeMap<Vec<u8>, Vec<u8>>>,
    pub lists: BTreeMap<(u32, u32), Vec<Vec<u8>>>,
}

impl CallState for Memory {
    fn map_get(&mut self, state: u32, key: u32, entry: &[u8]) -> Option<Vec<u8>> {
        self.maps.get(&(state, key))?.get(entry).cloned()
    }

    fn map_write(&mut self, state: u32, key: u32, entry: &[u8], value: Option<&[u8]>) {
        let map = self.maps.entry((state, key)).or_default();
        match value {
            Some(value) => drop(map.insert(entry.to_vec(), value.to_vec())),
            None => drop(map.remove(entry)),
        }
    }

    fn map_scan(
        &mut self,
        state: u32,
        key: u32,
        after: Option<&[u8]>,
        limit: Limit,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Some(map) = self.maps.get(&(state, key)) else { return Vec::new() };
        let behind = |entry: &Vec<u8>| after.is_none_or(|after| entry.as_slice() > after);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (entry, value) in map.iter().filter(|(entry, _)| behind(entry)) {
            if limit.is_reached(found.len(), bytes) {
                break;
            }
            bytes += entry.len() + value.len();
            found.push((entry.clone(), value.clone()));
        }
        found
    }

    fn map_clear(&mut self, state: u32, key: u32) {
        self.maps.remove(&(state, key));
    }

    fn list_length(&mut self, state: u32, key: u32) -> u64 {
        self.lists.get(&(state, key)).map_or(0, |list| list.len() as u64)
    }

    fn list_read(&mut self, state: u32, key: u32, start: u64, limit: Limit) -> Vec<Vec<u8>> {
        let list = self.lists.get(&(state, key)).map(Vec::as_slice).unwrap_or_default();
        let (mut found, mut bytes) = (Vec::new(), 0);
        for item in list.iter().skip(start as usize) {
            if limit.is_reached(found.len(), bytes) {
                break;
            }
            bytes += item.len();
            found.push(item.clone());
        }
        found
    }

    fn list_write(&mut self, state: u32, key: u32, index: u64, item: &[u8]) {
        let list = self.lists.entry((state, key)).or_default();
        match list.get_mut(index as usize) {
            Some(place) => *place = item.to_vec(),
            None => list.push(item.to_vec()),
        }
    }

    fn list_clear(&mut self, state: u32, key: u32) {
        self.lists.remove(&(state, key));
    }
}
