//! What the end-to-end tests and the demo share.

pub mod bank;
pub mod broker;
pub mod crash;
pub mod examples;
pub mod faults;
pub mod files;
pub mod fraud;
pub mod golden_job;
pub mod job;
pub mod load;
pub mod manifest;
pub mod node;
pub mod progress;
mod replicated;
pub mod stages;

use std::path::{Path, PathBuf};

/// The folder of the workspace: that of the run, since the build cache may come from another checkout.
pub fn workspace() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().expect("the package lies in the workspace").to_owned()
}

/// A guest of `tests/guests`, as `cargo xtask build` left it. Panics if it was not built.
pub fn guest(name: &str) -> Vec<u8> {
    module("tests/guests", name)
}

/// A shipped module, as `cargo xtask build` left it. Panics if it was not built.
pub fn shipped_module(name: &str) -> Vec<u8> {
    module("udfs", name)
}

fn module(folder: &str, name: &str) -> Vec<u8> {
    let path = workspace().join(folder).join("dist").join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo xtask build` first", path.display()))
}

/// A golden file, unpacked. Panics if it is not there.
pub fn golden(name: &str) -> Vec<u8> {
    let path = workspace().join("tests/goldens").join(format!("{name}.ndjson.xz"));
    let packed = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut unpacked = Vec::new();
    lzma_rs::xz_decompress(&mut packed.as_slice(), &mut unpacked).expect("a golden is an xz file");
    unpacked
}

/// The lines of a text, sorted: a multiset that can be compared.
pub fn sorted_lines(bytes: &[u8]) -> Vec<&str> {
    let mut lines: Vec<&str> = str::from_utf8(bytes).expect("JSON is UTF-8").lines().collect();
    lines.sort_unstable();
    lines
}

/// Overwrites every file of a database below `folder` that it cannot be opened without; how many there were.
pub fn damage_databases(folder: &Path) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            damaged += damage_databases(&path);
        } else if name == "CURRENT" || name.ends_with(".sst") || name.starts_with("MANIFEST") {
            let mut bytes = std::fs::read(&path).expect("it can be read");
            bytes.fill(0x5a);
            std::fs::write(&path, bytes).expect("it can be written");
            damaged += 1;
        }
    }
    damaged
}
