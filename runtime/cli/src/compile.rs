//! Compiles modules in processes of their own: this binary, started again with a hidden command. One that takes too much
//! memory or time is ended by the kernel or by its parent, and nothing else with it.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use millstream_control::compiler::Compiler;
use millstream_control::errors;
use millstream_control::problem::Problem;
use millstream_sandbox::{Limits, ModuleError, Sandbox};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Name of the hidden command.
pub const COMMAND: &str = "compile-module";
/// Memory that compiling one module may take beside what the engine reserves, bytes.
pub const MEMORY_BYTES: u64 = 2 << 30;
/// Processor time that it may take, seconds, over all threads.
const CPU_SECONDS: u64 = 120;
/// What the child may take beyond its own limit of time.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exit code of a module that was refused; why is on stdout.
const REFUSED: i32 = 3;
/// Exit code of one that takes more time than it may; how much is on stdout.
const TOO_SLOW: i32 = 4;
/// Compilers at one time: each may take [`MEMORY_BYTES`].
const AT_ONCE: usize = 1;

/// Compiles with child processes.
#[derive(Debug)]
pub struct ChildCompiler {
    program: PathBuf,
    /// Where compiled code is kept.
    folder: PathBuf,
    /// The largest module that is taken.
    module_bytes: usize,
    turns: Semaphore,
}

impl ChildCompiler {
    /// A compiler of modules up to so many bytes, into the folder that the sandbox of this process loads from. None if
    /// this process does not know its own program.
    pub fn new(folder: &Path, module_bytes: usize) -> Option<Self> {
        let (program, turns) = (std::env::current_exe().ok()?, Semaphore::new(AT_ONCE));
        Some(Self { program, folder: folder.to_owned(), module_bytes, turns })
    }

    async fn run(&self, wasm: &[u8]) -> Result<(), Problem> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Problem::new(errors::SYSTEM, format!("the compiler cannot be {what}: {error}"))
        };
        let _turn = self.turns.acquire().await.map_err(|error| failed("started", &error))?;
        let mut child = Command::new(&self.program)
            .args([COMMAND, "--memory", &MEMORY_BYTES.to_string()])
            .args(["--module-bytes", &self.module_bytes.to_string(), "--folder"])
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("started", &error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that ends early says why itself.
            let _ = stdin.write_all(wasm).await;
        }
        // Dropping the child kills it.
        let patience = Limits::for_modules_of(self.module_bytes).compile_time + PATIENCE;
        let ended = tokio::time::timeout(patience, child.wait_with_output()).await;
        let output = match ended {
            Ok(output) => output.map_err(|error| failed("waited for", &error))?,
            Err(_) => return Err(exceeded(&format!("more than {} s", patience.as_secs()))),
        };
        judge(output.status, &String::from_utf8_lossy(&output.stdout))
    }
}

impl Compiler for ChildCompiler {
    fn compile(&self, wasm: Bytes) -> BoxFuture<'_, Result<(), Problem>> {
        async move { self.run(&wasm).await }.boxed()
    }
}

/// What the end of a child means.
fn judge(status: ExitStatus, said: &str) -> Result<(), Problem> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(REFUSED), _) => {
            let message = format!("the module was refused: {}", said.trim());
            Err(Problem::new(errors::MODULE_REFUSED, message)
                .help("build it with the Millstream SDK for wasm32-wasip2"))
        }
        (Some(TOO_SLOW), _) => Err(exceeded(said.trim())),
        (_, Some(signal)) if signal == rustix::process::Signal::XCPU.as_raw() => {
            Err(exceeded(&format!("more than {CPU_SECONDS} s of processor time")))
        }
        // An allocation that fails ends a process so.
        (_, Some(signal)) if signal == rustix::process::Signal::ABORT.as_raw() => {
            Err(exceeded(&format!("more than {} MiB of memory", MEMORY_BYTES >> 20)))
        }
        _ => Err(exceeded("the compiler down with it")),
    }
}

fn exceeded(what: &str) -> Problem {
    Problem::new(errors::COMPILE_LIMIT, format!("compiling the module took {what}"))
        .help("make the module smaller: fewer dependencies, no huge functions")
}

/// The child: compiles what comes on stdin into the folder, within the memory. Returns the exit code.
pub fn child(folder: &Path, memory_bytes: u64, module_bytes: usize) -> i32 {
    let refuse = |why: &dyn std::fmt::Display| {
        // The parent is the reader; if it is gone, so is the question.
        println!("{why}");
        REFUSED
    };
    let sandbox = match Sandbox::new(Limits::for_modules_of(module_bytes), Some(folder)) {
        Ok(sandbox) => sandbox,
        Err(error) => return refuse(&error),
    };
    // The engine has reserved its addresses by now.
    let space = reserved_bytes().saturating_add(memory_bytes);
    for (resource, most) in [(Resource::As, space), (Resource::Cpu, CPU_SECONDS)] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(error) = setrlimit(resource, limit) {
            return refuse(&error);
        }
    }
    let mut wasm = Vec::new();
    // One byte more than allowed, so that the sandbox can say that it is too large.
    let most = module_bytes as u64 + 1;
    if let Err(error) = std::io::stdin().lock().take(most).read_to_end(&mut wasm) {
        return refuse(&error);
    }
    match sandbox.compile(&wasm) {
        Ok(_) => 0,
        Err(ModuleError::CompileTime { limit }) => {
            println!("more than {} s", limit.as_secs());
            TOO_SLOW
        }
        Err(error) => refuse(&error),
    }
}

/// Addresses that this process has reserved, bytes.
fn reserved_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').next()?.parse::<u64>().ok());
    // Without it the memory is not bounded, the time is.
    pages.map_or(u64::MAX, |pages| pages.saturating_mul(rustix::param::page_size() as u64))
}
