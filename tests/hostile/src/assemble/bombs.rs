//! Components that are costly to compile.

use wasm_encoder::{BlockType, ComponentBuilder, ComponentExportKind, Module, ValType};

use super::core::{self, Core, function, function_with};

/// 60,000 functions of a few instructions.
pub fn many_functions() -> Module {
    let add = function(|sink| {
        sink.i32_const(1).i32_const(2).i32_add().drop();
    });
    Core::with(vec![add; 60_000]).finish()
}

/// One function of 4 MB: a chain of more than a million operations on a variable.
pub fn huge_function() -> Module {
    let chain = function_with([(1, ValType::I64)], |sink| {
        sink.local_get(0);
        for n in 0..1_250_000i64 {
            sink.i64_const(n & 63).i64_xor();
        }
        sink.drop();
    });
    Core::with(vec![chain]).finish()
}

/// Variables that every branch sets anew, so that all of them meet behind each.
pub fn many_locals() -> Module {
    const LOCALS: u32 = 20_000;
    let meeting = function_with([(LOCALS, ValType::I64)], |sink| {
        for n in 0..2_000u32 {
            sink.local_get(n % LOCALS).i32_wrap_i64().if_(BlockType::Empty);
            for k in 0..50 {
                let to = (n * 7 + k * 397) % LOCALS;
                sink.local_get((to + 1) % LOCALS).local_set(to);
            }
            sink.end();
        }
    });
    Core::with(vec![meeting]).finish()
}

/// 100,000 blocks, each within the one before.
pub fn deep_nesting() -> Module {
    const DEPTH: usize = 100_000;
    let nested = function(|sink| {
        for _ in 0..DEPTH {
            sink.block(BlockType::Empty);
        }
        for _ in 0..DEPTH {
            sink.end();
        }
    });
    Core::with(vec![nested]).finish()
}

/// 30 jump tables of 65,000 targets.
pub fn jump_tables() -> Module {
    let jump = function(|sink| {
        sink.block(BlockType::Empty).block(BlockType::Empty).i32_const(7);
        sink.br_table((0..65_000).map(|n| n % 2), 0);
        sink.end().end();
    });
    Core::with(vec![jump; 30]).finish()
}

/// 10 MB of data.
pub fn huge_data() -> Module {
    let mut core = Core { data: Some(core::data(0, vec![7; 10_000_000])), ..Core::default() };
    core.memories.memory(core::memory(160));
    core.finish()
}

/// Components of which each holds two instances of the next one inside it; the innermost has a core instance.
pub fn doubling() -> Vec<u8> {
    let mut component = ComponentBuilder::default();
    let module = component.core_module(None, &core::empty());
    component.core_instantiate(None, module, []);
    for _ in 0..24 {
        let mut outer = ComponentBuilder::default();
        let inner = outer.component(None, component);
        for _ in 0..2 {
            outer.instantiate(None, inner, [] as [(&str, ComponentExportKind, u32); 0]);
        }
        component = outer;
    }
    component.finish()
}
