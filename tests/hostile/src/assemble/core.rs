//! Core modules of a few lines.

use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, InstructionSink,
    MemorySection, MemoryType, Module, RefType, StartSection, TableSection, TableType, TypeSection,
};

/// The name of the function that every core module exports.
pub const FUNCTION: &str = "f";

/// Parts of a core module; [`Core::finish`] puts them into their order. Function 0 does nothing and is exported.
#[derive(Default)]
pub struct Core {
    pub tables: TableSection,
    pub memories: MemorySection,
    pub functions: Vec<Function>,
    pub start: Option<u32>,
    pub data: Option<wasm_encoder::DataSection>,
}

impl Core {
    /// With further functions, all without parameters and results.
    pub fn with(functions: Vec<Function>) -> Self {
        Self { functions, ..Self::default() }
    }

    pub fn finish(&self) -> Module {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        module.section(&types);
        let mut declared = FunctionSection::new();
        let mut code = CodeSection::new();
        for function in std::iter::once(&function(|_| {})).chain(&self.functions) {
            declared.function(0);
            code.function(function);
        }
        module.section(&declared);
        if !self.tables.is_empty() {
            module.section(&self.tables);
        }
        if !self.memories.is_empty() {
            module.section(&self.memories);
        }
        let mut exports = ExportSection::new();
        exports.export(FUNCTION, ExportKind::Func, 0);
        if !self.memories.is_empty() {
            exports.export("memory", ExportKind::Memory, 0);
        }
        module.section(&exports);
        if let Some(function_index) = self.start {
            module.section(&StartSection { function_index });
        }
        module.section(&code);
        if let Some(data) = &self.data {
            module.section(data);
        }
        module
    }
}

/// A function without locals.
pub fn function(write: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    function_with([], write)
}

/// A function with locals.
pub fn function_with<const N: usize>(
    locals: [(u32, wasm_encoder::ValType); N],
    write: impl FnOnce(&mut InstructionSink<'_>),
) -> Function {
    let mut function = Function::new(locals);
    let mut sink = function.instructions();
    write(&mut sink);
    sink.end();
    function
}

/// Loops for ever.
pub fn looping(sink: &mut InstructionSink<'_>) {
    sink.loop_(wasm_encoder::BlockType::Empty).br(0).end();
}

/// Exports a function that does nothing.
pub fn empty() -> Module {
    Core::default().finish()
}

/// Does this when it is instantiated.
pub fn starting(write: impl FnOnce(&mut InstructionSink<'_>)) -> Module {
    Core { start: Some(1), ..Core::with(vec![function(write)]) }.finish()
}

/// A memory of so many pages of 64 KiB at least.
pub fn memory(minimum: u64) -> MemoryType {
    MemoryType { minimum, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

/// Has a memory.
pub fn with_memory(memory: MemoryType) -> Module {
    let mut core = Core::default();
    core.memories.memory(memory);
    core.finish()
}

/// A table of so many elements at least.
pub fn table(minimum: u64) -> TableType {
    TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum,
        maximum: None,
        shared: false,
    }
}

/// Has a table.
pub fn with_table(minimum: u64) -> Module {
    let mut core = Core::default();
    core.tables.table(table(minimum));
    core.finish()
}

/// Data at an offset of the memory.
pub fn data(offset: i32, bytes: Vec<u8>) -> wasm_encoder::DataSection {
    let mut data = wasm_encoder::DataSection::new();
    data.active(0, &ConstExpr::i32_const(offset), bytes);
    data
}
