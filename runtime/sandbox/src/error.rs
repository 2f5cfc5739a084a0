//! Why a sandbox or a module cannot be had.

use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// The sandbox cannot be set up.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// wasmtime refuses the configuration on this machine.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The folder for compiled code cannot be made.
    #[error("the folder {path} for compiled code cannot be made: {source}")]
    CacheFolder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A limit is beyond what is possible.
    #[error("the limit {name} is {value}; at most {most} is possible")]
    Limit {
        /// Name in [`Limits`](crate::Limits).
        name: &'static str,
        /// Its value.
        value: usize,
        /// The most it can be.
        most: usize,
    },
}

/// A file is not a UDF that can run here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModuleError {
    /// The file is larger than allowed.
    #[error("the module has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file is not WebAssembly.
    #[error("the file is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    /// The file is code that somebody else compiled, which could do anything.
    #[error(
        "the file is precompiled native code, which is never loaded; give the .wasm component instead"
    )]
    Precompiled,
    /// The file is a core module.
    #[error(
        "the file is a core WebAssembly module, not a component; build with target wasm32-wasip2"
    )]
    CoreModule,
    /// The component is broken or uses features that are switched off.
    #[error("the component is not valid here: {0}")]
    Invalid(String),
    /// Compiling takes too long.
    #[error("compiling took longer than {}s", limit.as_secs_f64())]
    CompileTime {
        /// The limit.
        limit: Duration,
    },
    /// The component wants something that no UDF gets.
    #[error("the component imports {name}, which UDFs do not get; {allowed}")]
    ForbiddenImport {
        /// The import's name.
        name: String,
        /// What is allowed instead.
        allowed: &'static str,
    },
    /// The component is not a UDF.
    #[error("the component exports {found}; a UDF exports {expected}")]
    NoGuest {
        /// What is exported.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// An import or export has another type than in the contract.
    #[error("{name} does not have the type that the contract gives it: {reason}")]
    WrongType {
        /// The interface or function.
        name: String,
        /// What differs.
        reason: String,
    },
    /// `describe` trapped or could not be called.
    #[error("describe failed: {0}")]
    Describe(String),
    /// What `describe` says is not allowed.
    #[error("the description is not allowed: {0}")]
    Description(String),
    /// The machine cannot do it now.
    #[error("the module cannot be compiled on this machine: {0}")]
    Host(String),
}
