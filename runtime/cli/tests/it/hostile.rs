//! The guests of `tests/hostile` that are costly to compile, in the process that a node compiles with. Needs the guests (`cargo xtask
//! build --test-modules`).

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use millstream_hostile::{Bomb, Ends, Guest, Refusal};
use rustix::process::Signal;

use crate::millstream::{Millstream, root};

/// Memory that compiling a module may take, bytes: that of a node's compiler.
const MEMORY_BYTES: u64 = 2 << 30;

macro_rules! tests {
    ($list:ident: $($guest:ident)+) => {
        $(#[test] fn $guest() { super::is_compiled_within_bounds(super::$list::$guest); })+
    };
}

#[allow(non_snake_case, reason = "the tests have the names of the guests")]
mod bomb {
    millstream_hostile::for_each_bomb!(tests);
}

/// The file of a guest of `tests/guests`.
pub fn dist(name: &str) -> Vec<u8> {
    let path = root().join("tests/guests/dist").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| {
        panic!("{}: {e}; run `cargo xtask build --test-modules`", path.display())
    })
}

/// Calls the process that a node compiles with, as the node does: what it said, and how it ended.
fn compile(millstream: &Millstream, wasm: &[u8]) -> (String, ExitStatus) {
    let memory = MEMORY_BYTES.to_string();
    let args =
        ["compile-module", "--memory", &memory, "--module-bytes", "10485760", "--folder", "code"];
    let mut command = millstream.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("piped");
    // One that ends early says why itself.
    let _ = stdin.write_all(wasm);
    drop(stdin);
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    (said, child.wait().expect("it ends"))
}

/// A costly module ends its own compiler or is refused by it, and the next module is compiled.
fn is_compiled_within_bounds(bomb: Bomb) {
    let millstream = Millstream::new();
    let wasm = Guest::Bomb(bomb).wasm(dist);
    let (said, status) = compile(&millstream, &wasm);
    match bomb.ends() {
        // Memory that is refused ends the process.
        Ends::Refused(Refusal::TooCostly, _) => {
            assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}: {said}")
        }
        Ends::Refused(_, says) => {
            assert_eq!(status.code(), Some(3), "{status}: {said}");
            assert!(said.contains(says), "{said}");
        }
        ends => panic!("{ends:?} is no end of a module that is never run"),
    }
    let (said, status) = compile(&millstream, &dist("shaped"));
    assert_eq!(status.code(), Some(0), "{said}");
}
