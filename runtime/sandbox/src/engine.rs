//! The one engine configuration. Anything that changes what guest code computes, or what
//! it may do, is decided here and nowhere else.

use crate::error::SandboxError;
use crate::fault::FRAMES;
use crate::limits::{Limits, STACK_BYTES, TABLE_ELEMENTS};
use std::num::NonZeroUsize;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

/// Core instances, and tables, that components take on average: a Rust component has three or four.
const CORES_PER_INSTANCE: u32 = 8;
/// Core instances of one component. Those of interpreted languages are linked from dozens.
const CORES_PER_COMPONENT_MAX: u32 = 100;
/// Memory of a finished instance that is zeroed instead of given back, so that the next
/// instance does not fault it in again.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;
/// Finished instances' slots that keep such memory.
const WARM_SLOTS: u32 = 32;

/// The engine of the process.
pub(crate) fn new(limits: &Limits) -> Result<Engine, SandboxError> {
    let mut config = Config::new();
    deterministic(&mut config);
    config
        .max_wasm_stack(STACK_BYTES)
        .cranelift_opt_level(OptLevel::Speed)
        // Function names and lines in what an operator reads after a trap.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES))
        // Guests unwind nothing; registering their frames with the system costs time per module.
        .native_unwind_info(false)
        // Addresses for all that 32 bits reach: out of bounds is a page fault, not a check.
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_may_move(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&config).map_err(|e| SandboxError::Engine(format!("{e:#}")))
}

/// The same call gives the same bytes on every machine and at every replay.
fn deterministic(config: &mut Config) {
    config
        // Fuel cuts off at the same instruction every time, unlike a clock.
        .consume_fuel(true)
        .epoch_interruption(false)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_relaxed_simd(false)
        // One memory of 32-bit addresses is what the bounds of memory rest on.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .concurrency_support(false);
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_memories(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(CORES_PER_INSTANCE))
        .total_tables(limits.instances.saturating_mul(CORES_PER_INSTANCE))
        .max_core_instances_per_component(CORES_PER_COMPONENT_MAX)
        .max_tables_per_component(CORES_PER_COMPONENT_MAX)
        .max_memories_per_component(1)
        .max_memory_size(limits.memory_bytes)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(WARM_SLOTS);
    pool
}
