//! Modules that are assembled: files that are no modules, and components that no compiler would give.

use crate::Ends::Refused;
use crate::Refusal::*;
use crate::modes::modes;

modes! { $
    /// A module that the list makes itself.
    Assembled, for_each_assembled;

    /// No bytes at all.
    Empty = "empty" => Refused(NotWasm, "the file is not WebAssembly");
    /// A shell script.
    Script = "script" => Refused(NotWasm, "the file is not WebAssembly");
    /// The text format instead of the binary one.
    Text = "text" => Refused(NotWasm, "the file is not WebAssembly");
    /// A core module.
    CoreModule = "core-module" => Refused(CoreModule, "build with target wasm32-wasip2");
    /// A good module cut off in the middle.
    Truncated = "truncated" => Refused(Invalid, "the component is not valid here");
    /// A good module with its last byte cut off.
    TruncatedByOne = "truncated-by-one" => Refused(Invalid, "the component is not valid here");
    /// A component's header and noise.
    Noise = "noise" => Refused(Invalid, "the component is not valid here");
    /// A section that says it has 4,294,967,295 bytes.
    SectionLengthMax = "section-length-max" => Refused(Invalid, "the component is not valid here");
    /// A good module made one byte larger than allowed.
    TooLarge = "too-large" => Refused(TooLarge, "10485760");
    /// A component without anything.
    Nothing = "nothing" => Refused(NoGuest, "the component exports nothing");
    /// Imports an interface of somebody else.
    UnknownImport = "unknown-import" => Refused(ForbiddenImport, "acme:secrets/store@1.0.0");
    /// Imports an interface with a name of 60,000 bytes.
    HugeImportName = "huge-import-name" => Refused(ForbiddenImport, "allowed are state, log, metrics and config");
    /// Exports 400 interfaces with long names.
    ManyExports = "many-exports" => Refused(NoGuest, "millstream:udf/guest@0.1.0");
    /// Exports the contract's functions with other types.
    WrongTypes = "wrong-types" => Refused(WrongType, "describe does not have the type that the contract gives it");
    /// Exports the contract without its functions.
    NoFunctions = "no-functions" => Refused(WrongType, "it has no function describe");
    /// Loops in a core module's start function.
    CoreStartLoop = "core-start-loop" => Refused(Describe, "out of fuel");
    /// Traps in a function whose name has 90,000 bytes.
    HugeFunctionName = "huge-function-name" => Refused(Describe, "unreachable");
    /// Opens handles of the standard output without end.
    HandleFlood = "handle-flood" => Refused(Describe, "handle");
    /// Has data that is laid beyond its memory.
    DataOut = "data-out" => Refused(Describe, "out of bounds memory access");
    /// Grows a table until it may not, without end.
    TableGrow = "table-grow" => Refused(Describe, "out of fuel");

    /// Wants a table of 10,000,000 elements.
    TableBomb = "table-bomb" => Refused(Invalid, "table");
    /// Wants 4 GiB of memory.
    MemoryBomb = "memory-minimum" => Refused(Invalid, "memory");
    /// Has 30 memories in as many core modules.
    ManyMemories = "many-memories" => Refused(Invalid, "memories");
    /// Has 500 core instances.
    ManyInstances = "many-instances" => Refused(Invalid, "501 core module instances");
    /// Shares memory, and so has threads and atomics.
    SharedMemory = "shared-memory" => Refused(Invalid, "threads");
    /// Has memory of 64-bit addresses.
    Memory64 = "memory64" => Refused(Invalid, "memory64");
    /// Has two memories in one core module.
    MultiMemory = "multi-memory" => Refused(Invalid, "multi");
    /// Uses vector instructions whose results depend on the machine.
    RelaxedSimd = "relaxed-simd" => Refused(Invalid, "relaxed SIMD");
}
