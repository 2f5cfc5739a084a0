//! What a guest may use. Every number has a name, so that a message can give it.

use std::time::Duration;

/// Instructions (about) that one record, timer or call may take.
pub const FUEL_PER_RECORD: u64 = 10_000_000;
/// Instructions that starting an instance and its `describe` may take.
pub const FUEL_TO_START: u64 = 100_000_000;
/// Linear memory of an instance, all memories together.
pub const MEMORY_BYTES: usize = 64 << 20;
/// Stack of wasm code. Any thread that calls guests needs twice as much.
pub const STACK_BYTES: usize = 512 << 10;
/// Elements of each table of an instance.
pub const TABLE_ELEMENTS: usize = 20_000;
/// Bytes that a record may emit; a call may emit as much for each of its records.
pub const OUTPUT_BYTES_PER_RECORD: usize = 1 << 20;
/// Items that a record may emit and timers that it may change; a call as many for each of its records.
pub const OUTPUT_ITEMS_PER_RECORD: usize = 100;
/// Bytes that one call or import may hand to the host, whatever the number of records.
pub const TRANSFER_BYTES: usize = 64 << 20;
/// Records or timers of a call.
pub const RECORDS_PER_CALL: usize = 4_096;
/// A value, list item or map value.
pub const ELEMENT_BYTES: usize = 1 << 20;
/// The key of a map entry.
pub const ENTRY_KEY_BYTES: usize = 1 << 10;
/// Entries or items of one read of a map or list.
pub const READ_ITEMS: u32 = 1_000;
/// The guest's words on a failure; more is cut off.
pub const FAILURE_BYTES: usize = 4 << 10;
/// What is told of a fault or of a refused module, with the backtrace; more is cut off.
pub const FAULT_BYTES: usize = 16 << 10;
/// One log message; more is cut off.
pub const LOG_MESSAGE_BYTES: usize = 4 << 10;
/// Log messages of a call; more are counted and dropped.
pub const LOG_MESSAGES: u32 = 100;
/// Bytes of all log messages of a call.
pub const LOG_BYTES: usize = 64 << 10;
/// Names of counters and histograms of an instance.
pub const METRIC_NAMES: usize = 50;
/// A metric's name.
pub const METRIC_NAME_BYTES: usize = 64;
/// A wasm file.
pub const MODULE_BYTES: usize = 10 << 20;
/// What `module_bytes` may be raised to: Python and JavaScript guests bring their interpreter.
pub const MODULE_BYTES_MAX: usize = 24 << 20;
/// Compiling one module of [`MODULE_BYTES`]; who allows larger ones allows as much more time.
pub const COMPILE_TIME: Duration = Duration::from_secs(30);
/// Instances of a process at one time.
pub const INSTANCES: u32 = 1_000;

/// The limits that an operator may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel (about one per instruction) of one call, which is that of one record: a batch
    /// that takes more is to be run again in smaller ones, down to single records.
    pub fuel_per_record: u64,
    /// Linear memory of an instance, bytes.
    pub memory_bytes: usize,
    /// Bytes emitted per record of a call.
    pub output_bytes_per_record: usize,
    /// Items emitted, and timers changed, per record of a call.
    pub output_items_per_record: usize,
    /// A wasm file, bytes; at most 24 MiB.
    pub module_bytes: usize,
    /// How long compiling a module may take.
    pub compile_time: Duration,
    /// Instances of the process at one time. Each reserves 4 GiB of addresses, not of memory.
    pub instances: u32,
}

impl Limits {
    /// The usual ones, but for modules of up to so many bytes.
    pub fn for_modules_of(module_bytes: usize) -> Self {
        let times = module_bytes.div_ceil(MODULE_BYTES) as u32;
        Self { module_bytes, compile_time: COMPILE_TIME * times, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_per_record: FUEL_PER_RECORD,
            memory_bytes: MEMORY_BYTES,
            output_bytes_per_record: OUTPUT_BYTES_PER_RECORD,
            output_items_per_record: OUTPUT_ITEMS_PER_RECORD,
            module_bytes: MODULE_BYTES,
            compile_time: COMPILE_TIME,
            instances: INSTANCES,
        }
    }
}
