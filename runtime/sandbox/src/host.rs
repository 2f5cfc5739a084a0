//! What the host keeps for a guest in its store.

use crate::fault::MachineFailure;
use crate::limits::*;
use crate::observer::{GuestObserver, LogLevel};
use crate::scope::Lent;
use crate::text::{cut, plain};
use hashbrown::HashSet;
use millstream_core::description::{Capability, Description, EXPIRY_BYTES, StateKind, StateSpec};
use std::fmt;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// The data of a store. It outlives the store when the guest traps.
pub(crate) struct Host {
    pub memory: Memory,
    pub config: Arc<str>,
    pub granted: Granted,
    pub speech: Speech,
    pub call: Call,
}

impl Host {
    /// For an instance of a module that says `description` of itself.
    pub fn new(
        memory_bytes: usize,
        config: Arc<str>,
        description: &Description,
        observer: Box<dyn GuestObserver>,
    ) -> Self {
        Self {
            memory: Memory { limit: memory_bytes, used: 0, refused: None },
            config,
            granted: Granted::new(description),
            speech: Speech::new(observer),
            call: Call::default(),
        }
    }

    /// A call with that many distinct keys begins.
    pub fn begin(&mut self, keys: usize, broadcast: bool, processing_time: i64, seed: Option<u64>) {
        self.call.keys = keys;
        self.call.broadcast = broadcast;
        self.call.processing_time = processing_time;
        self.call.random = seed.unwrap_or(UNSEEDED);
        self.memory.refused = None;
        self.speech.begin();
    }

    /// The store is gone, and its memories with it.
    pub fn restart(&mut self) {
        self.memory.used = 0;
        self.memory.refused = None;
    }
}

/// What the running call may refer to.
#[derive(Default)]
pub(crate) struct Call {
    pub state: Lent,
    /// Distinct keys of the batch.
    pub keys: usize,
    /// Whether it is about records of a broadcast input.
    pub broadcast: bool,
    /// Milliseconds since 1970 UTC.
    pub processing_time: i64,
    /// State of the generator behind `wasi:random`.
    pub random: u64,
}

/// The start of `wasi:random` without the capability `random`: a constant, which is all that hash
/// maps need.
const UNSEEDED: u64 = 0x6d69_6c6c_7374_7265;

impl Call {
    /// The next number of `wasi:random` (splitmix64, Steele et al. 2014).
    pub fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What the description asks for.
pub(crate) struct Granted {
    pub states: Vec<GrantedState>,
    /// Of each state the bytes that an element has at least.
    pub element_bytes_min: Vec<usize>,
    pub config: bool,
    pub metrics: bool,
}

impl Granted {
    fn new(description: &Description) -> Self {
        let has = |capability| description.capabilities.contains(&capability);
        Self {
            states: description
                .states
                .iter()
                .map(|s| GrantedState { kind: s.kind, broadcast: s.broadcast })
                .collect(),
            element_bytes_min: description.states.iter().map(element_bytes_min).collect(),
            config: has(Capability::Config),
            metrics: has(Capability::Metrics),
        }
    }

    /// For `describe` at upload, when nothing is known yet: it may read a configuration, which is
    /// empty then.
    pub fn to_describe() -> Self {
        Self { states: Vec::new(), element_bytes_min: Vec::new(), config: true, metrics: false }
    }
}

/// Bytes that an element of a state has at least: the time at which it expires, if that is event time.
pub(crate) fn element_bytes_min(state: &StateSpec) -> usize {
    if state.expires_by_event_time() { EXPIRY_BYTES } else { 0 }
}

/// A declared state.
#[derive(Clone, Copy)]
pub(crate) struct GrantedState {
    pub kind: StateKind,
    /// Whether it belongs to the partition instead of to a key.
    pub broadcast: bool,
}

/// The linear memory of an instance, all of it together.
pub(crate) struct Memory {
    /// Bytes that may be used.
    pub limit: usize,
    used: usize,
    /// What was wanted when the limit said no.
    pub refused: Option<Refusal>,
}

/// A growth that the limit forbids.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    pub wanted: usize,
    pub limit: usize,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory: {} bytes wanted, the limit is {}", self.wanted, self.limit)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        if wanted > self.limit {
            self.refused = Some(Refusal { wanted, limit: self.limit });
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.used = wanted;
        Ok(true)
    }

    /// The machine has no memory. The guest must not see that: it would not happen again at a replay.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(MachineFailure::error(format!("memory of a guest cannot grow: {error:#}")))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// What the guest says beside its results, within bounds per call.
pub(crate) struct Speech {
    observer: Box<dyn GuestObserver>,
    metrics: HashSet<Box<str>>,
    messages: u32,
    bytes: usize,
    dropped: u64,
    /// The call's last message at level error: a panic's, if the guest traps next.
    last_error: String,
    streams: [Vec<u8>; 2],
}

/// The streams that a guest may print to.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Speech {
    fn new(observer: Box<dyn GuestObserver>) -> Self {
        Self {
            observer,
            metrics: HashSet::new(),
            messages: 0,
            bytes: 0,
            dropped: 0,
            last_error: String::new(),
            streams: [Vec::new(), Vec::new()],
        }
    }

    fn begin(&mut self) {
        self.messages = 0;
        self.bytes = 0;
        self.last_error.clear();
    }

    /// A log message of any length.
    pub fn log(&mut self, level: LogLevel, message: &str) {
        let message = &*plain(message, LOG_MESSAGE_BYTES);
        if level == LogLevel::Error {
            self.last_error.clear();
            self.last_error.push_str(message);
        }
        if self.messages == LOG_MESSAGES || self.bytes + message.len() > LOG_BYTES {
            self.dropped += 1;
            return;
        }
        self.messages += 1;
        self.bytes += message.len();
        self.observer.log(level, message);
    }

    /// Bytes printed to a stream: each line is a message.
    pub fn print(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let pending = &mut self.streams[stream as usize];
            let room = LOG_MESSAGE_BYTES.saturating_sub(pending.len());
            pending.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.streams[stream as usize]);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        match stream {
            Stream::Out => self.log(LogLevel::Info, text),
            Stream::Err => {
                // A panic without the SDK's hook prints several lines; all are its message.
                let before = std::mem::take(&mut self.last_error);
                self.log(LogLevel::Error, text);
                if !before.is_empty() {
                    let all = format!("{before}\n{}", self.last_error);
                    self.last_error = cut(&all, LOG_MESSAGE_BYTES).to_owned();
                }
            }
        }
    }

    /// The call is over: lines without an end are ended. Returns the last words.
    pub fn end(&mut self) -> &str {
        for stream in [Stream::Out, Stream::Err] {
            self.end_line(stream);
        }
        if self.dropped > 0 {
            self.observer.log_dropped(std::mem::take(&mut self.dropped));
        }
        &self.last_error
    }

    /// Checks and remembers the name of a metric.
    pub fn metric(&mut self, name: &str) -> Result<(), String> {
        if self.metrics.contains(name) {
            return Ok(());
        }
        let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if name.is_empty() || name.len() > METRIC_NAME_BYTES || !name.bytes().all(plain) {
            return Err(format!(
                "the metric name {:?} is not 1 to {METRIC_NAME_BYTES} characters of [a-z0-9_]",
                cut(name, METRIC_NAME_BYTES)
            ));
        }
        if self.metrics.len() == METRIC_NAMES {
            return Err(format!(
                "the metric {name} is one too many; the limit is {METRIC_NAMES} names"
            ));
        }
        self.metrics.insert(name.into());
        Ok(())
    }

    /// Where metrics go.
    pub fn observer(&mut self) -> &mut dyn GuestObserver {
        &mut *self.observer
    }
}
