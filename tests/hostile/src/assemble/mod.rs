//! The bytes of the modules that are assembled.
//!
//! - `core`: core modules, and a component around one.
//! - `files`: files that are no modules.
//! - `components`: components with wrong imports and exports, and what happens when they start.
//! - `bombs`: components that are costly to compile.

mod bombs;
mod components;
mod core;
mod files;

use crate::{Assembled, Bomb};

/// The file of a module. `dist` gives the file of a guest of `tests/guests` by its name.
pub(crate) fn wasm(assembled: Assembled, dist: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    match assembled {
        Assembled::Empty => Vec::new(),
        Assembled::Script => b"#!/bin/sh\nexit 0\n".to_vec(),
        Assembled::Text => b"(component)".to_vec(),
        Assembled::CoreModule => core::empty().finish(),
        Assembled::Truncated => files::cut(dist("misbehave"), 2),
        Assembled::TruncatedByOne => files::without_the_last(dist("misbehave")),
        Assembled::Noise => files::noise(),
        Assembled::SectionLengthMax => files::section_of(u32::MAX),
        Assembled::TooLarge => files::filled_up(dist("misbehave"), (10 << 20) + 1),
        Assembled::Nothing => wasm_encoder::ComponentBuilder::default().finish(),
        Assembled::UnknownImport => components::importing("acme:secrets/store@1.0.0"),
        Assembled::HugeImportName => {
            components::importing(&format!("acme:{}/store", "x".repeat(60_000)))
        }
        Assembled::ManyExports => components::many_exports(),
        Assembled::WrongTypes => components::udf(&core::empty()),
        Assembled::NoFunctions => components::no_functions(),
        Assembled::CoreStartLoop => components::udf(&core::starting(core::looping)),
        Assembled::HugeFunctionName => components::udf(&components::huge_function_name()),
        Assembled::HandleFlood => components::handle_flood(),
        Assembled::DataOut => components::udf(&components::data_out()),
        Assembled::TableGrow => components::udf(&components::table_grow()),
        Assembled::TableBomb => components::udf(&core::with_table(10_000_000)),
        Assembled::MemoryBomb => components::udf(&core::with_memory(core::memory(65_536))),
        Assembled::ManyMemories => {
            components::many_instances(&core::with_memory(core::memory(1)), 30, true)
        }
        Assembled::ManyInstances => components::many_instances(&core::empty(), 500, false),
        Assembled::SharedMemory => components::udf(&components::shared_memory()),
        Assembled::Memory64 => components::udf(&components::memory64()),
        Assembled::MultiMemory => components::udf(&components::multi_memory()),
        Assembled::RelaxedSimd => components::udf(&components::relaxed_simd()),
    }
}

/// The file of a module that is costly to compile.
pub(crate) fn bomb(bomb: Bomb) -> Vec<u8> {
    match bomb {
        Bomb::ManyFunctions => components::of(&bombs::many_functions()),
        Bomb::HugeFunction => components::of(&bombs::huge_function()),
        Bomb::ManyLocals => components::of(&bombs::many_locals()),
        Bomb::DeepNesting => components::of(&bombs::deep_nesting()),
        Bomb::JumpTables => components::of(&bombs::jump_tables()),
        Bomb::HugeData => components::of(&bombs::huge_data()),
        Bomb::Doubling => bombs::doubling(),
    }
}
