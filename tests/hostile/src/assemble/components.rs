//! Components with wrong imports and exports, and components that go wrong when they start.

use wasm_encoder::{
    BlockType, ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType,
    ExportKind, FunctionSection, HeapType, ImportSection, InstanceType, Module, ModuleArg, NameMap,
    NameSection, StartSection, TypeBounds, TypeSection, ValType,
};

use super::core::{self, Core, FUNCTION, function};

/// What a UDF exports.
const GUEST: &str = "millstream:udf/guest@0.1.0";
/// Its functions.
const FUNCTIONS: [&str; 3] = ["describe", "process", "on-timer"];

/// A component that has a core module and exports nothing.
pub fn of(module: &Module) -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    let module = builder.core_module(None, module);
    builder.core_instantiate(None, module, []);
    builder.finish()
}

/// A component that starts a core module and exports the contract's functions without parameters and results.
pub fn udf(module: &Module) -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    let module = builder.core_module(None, module);
    builder.core_instantiate(None, module, []);
    export_guest(&mut builder, GUEST, &FUNCTIONS);
    builder.finish()
}

/// Exports an instance of functions that do nothing.
fn export_guest(builder: &mut ComponentBuilder, name: &str, functions: &[&str]) {
    let mut inner = ComponentBuilder::default();
    let module = inner.core_module(None, &core::empty());
    let instance = inner.core_instantiate(None, module, []);
    let core = inner.core_alias_export(None, instance, FUNCTION, ExportKind::Func);
    let (plain, mut ty) = inner.type_function(None);
    ty.params([] as [(&str, ComponentValType); 0]).result(None);
    let lifted = inner.lift_func(None, core, plain, []);
    for name in functions {
        inner.export(*name, ComponentExportKind::Func, lifted, None);
    }
    let inner = builder.component(None, inner);
    let instance = builder.instantiate(None, inner, [] as [(&str, ComponentExportKind, u32); 0]);
    builder.export(name, ComponentExportKind::Instance, instance, None);
}

/// The contract's interface, empty.
pub fn no_functions() -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    export_guest(&mut builder, GUEST, &[]);
    builder.finish()
}

/// Imports an instance of this name without anything in it.
pub fn importing(name: &str) -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    let ty = builder.type_instance(None, &InstanceType::new());
    builder.import(name, ComponentTypeRef::Instance(ty));
    export_guest(&mut builder, GUEST, &FUNCTIONS);
    builder.finish()
}

/// Exports 400 instances with names of 5,000 bytes.
pub fn many_exports() -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    let empty = builder.component(None, ComponentBuilder::default());
    for n in 0..400 {
        let instance =
            builder.instantiate(None, empty, [] as [(&str, ComponentExportKind, u32); 0]);
        let name = format!("acme:thing{n}/{}", "x".repeat(5_000));
        builder.export(&name, ComponentExportKind::Instance, instance, None);
    }
    builder.finish()
}

/// So many instances of a core module, each of a module of its own or all of the same.
pub fn many_instances(module: &Module, instances: u32, own: bool) -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    let mut index = builder.core_module(None, module);
    for n in 0..instances {
        if own && n > 0 {
            index = builder.core_module(None, module);
        }
        builder.core_instantiate(None, index, []);
    }
    export_guest(&mut builder, GUEST, &FUNCTIONS);
    builder.finish()
}

/// Opens the standard output again and again and closes it never.
pub fn handle_flood() -> Vec<u8> {
    let mut stdout = InstanceType::new();
    stdout.export("output-stream", ComponentTypeRef::Type(TypeBounds::SubResource));
    stdout.ty().defined_type().own(0);
    stdout
        .ty()
        .function()
        .params([] as [(&str, ComponentValType); 0])
        .result(Some(ComponentValType::Type(1)));
    stdout.export("get-stdout", ComponentTypeRef::Func(2));

    let mut builder = ComponentBuilder::default();
    let ty = builder.type_instance(None, &stdout);
    let import = builder.import("wasi:cli/stdout@0.2.0", ComponentTypeRef::Instance(ty));
    let get = builder.alias_export(import, "get-stdout", ComponentExportKind::Func);
    let get = builder.lower_func(None, get, []);
    let host = builder.core_instantiate_exports(None, [("get", ExportKind::Func, get)]);
    let module = builder.core_module(None, &calling_without_end());
    builder.core_instantiate(None, module, [("host", ModuleArg::Instance(host))]);
    export_guest(&mut builder, GUEST, &FUNCTIONS);
    builder.finish()
}

/// Imports `host.get: func() -> i32` and calls it for ever.
fn calling_without_end() -> Module {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    types.ty().function([], []);
    module.section(&types);
    let mut imports = ImportSection::new();
    imports.import("host", "get", wasm_encoder::EntityType::Function(0));
    module.section(&imports);
    let mut functions = FunctionSection::new();
    functions.function(1);
    module.section(&functions);
    module.section(&StartSection { function_index: 1 });
    let mut code = wasm_encoder::CodeSection::new();
    code.function(&function(|sink| {
        sink.loop_(BlockType::Empty).call(0).drop().br(0).end();
    }));
    module.section(&code);
    module
}

/// Traps at the start, in a function whose name fills pages.
pub fn huge_function_name() -> Module {
    let mut module = core::starting(|sink| {
        sink.unreachable();
    });
    let mut names = NameMap::new();
    names.append(1, &"n".repeat(90_000));
    let mut section = NameSection::new();
    section.functions(&names);
    module.section(&section);
    module
}

/// Lays data across the end of its memory.
pub fn data_out() -> Module {
    let mut core = Core { data: Some(core::data(65_530, vec![1; 100])), ..Core::default() };
    core.memories.memory(core::memory(1));
    core.finish()
}

/// Grows a table by 1,000 elements again and again.
pub fn table_grow() -> Module {
    let grow = function(|sink| {
        sink.loop_(BlockType::Empty)
            .ref_null(HeapType::FUNC)
            .i32_const(1_000)
            .table_grow(0)
            .drop()
            .br(0)
            .end();
    });
    let mut core = Core { start: Some(1), ..Core::with(vec![grow]) };
    core.tables.table(core::table(1));
    core.finish()
}

/// Has memory that threads share.
pub fn shared_memory() -> Module {
    let memory = core::memory(1);
    core::with_memory(wasm_encoder::MemoryType { maximum: Some(2), shared: true, ..memory })
}

pub fn memory64() -> Module {
    core::with_memory(wasm_encoder::MemoryType { memory64: true, ..core::memory(1) })
}

/// Has two memories.
pub fn multi_memory() -> Module {
    let mut core = Core::default();
    core.memories.memory(core::memory(1)).memory(core::memory(1));
    core.finish()
}

/// Multiplies and adds with or without rounding in between, as the machine likes.
pub fn relaxed_simd() -> Module {
    core::starting(|sink| {
        sink.v128_const(1).v128_const(2).v128_const(3).f64x2_relaxed_madd().drop();
    })
}
