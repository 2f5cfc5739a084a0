//! `millstream compile-module`: what the runtime starts for every module that it has not compiled yet. Not for people.

use std::path::PathBuf;

use clap::Args;

use crate::compile;

/// Compile a module from stdin into a folder of compiled code
#[derive(Args)]
pub struct CompileModule {
    /// The folder
    #[arg(long)]
    folder: PathBuf,

    /// Memory that it may take, bytes
    #[arg(long)]
    memory: u64,

    /// Bytes of the largest module that is taken
    #[arg(long)]
    module_bytes: usize,
}

impl CompileModule {
    /// Compiles. Ends the process: a thread that still compiles is not waited for.
    pub fn run(self) -> ! {
        std::process::exit(compile::child(&self.folder, self.memory, self.module_bytes))
    }
}
