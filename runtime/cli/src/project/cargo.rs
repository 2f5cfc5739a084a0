//! Builds the modules of a cargo package.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use millstream_control::errors;
use serde::Deserialize;

use crate::failure::Failure;

/// What modules are compiled for.
const TARGET: &str = "wasm32-wasip2";
/// The profile of modules that are meant to stay.
pub const RELEASE: &str = "release";
/// The profile of modules that are replaced at the next change: what is built soonest.
pub const WATCH: &str = "watch";
/// What that profile is in a package that has none of its own.
const WATCH_DEFAULTS: [&str; 5] = [
    "profile.watch.inherits='release'",
    "profile.watch.opt-level=1",
    "profile.watch.lto='off'",
    "profile.watch.codegen-units=16",
    "profile.watch.incremental=true",
];

/// Whether a folder is that of a cargo package or workspace.
pub fn is_package(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

/// Builds what the package in `folder` makes, with a profile of its; the module files. What cargo and the compiler say
/// goes to stderr.
///
/// # Errors
/// MS1520 if it does not build, MS1521 if cargo or the target is missing.
pub fn build(folder: &Path, profile: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--target", TARGET, "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if profile == WATCH && !has_watch_profile(folder) {
        command.args(WATCH_DEFAULTS.iter().flat_map(|default| ["--config", default]));
    }
    let mut cargo = command.spawn().map_err(|error| not_started(&error))?;
    let failed = |error: io::Error| {
        Failure::coded(errors::SYSTEM, "cargo's answer cannot be read").because(&error)
    };
    let mut modules = Vec::new();
    if let Some(stdout) = cargo.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            modules.extend(made(&line.map_err(failed)?));
        }
    }
    let status = cargo.wait().map_err(failed)?;
    match status.success() {
        true => Ok(modules),
        false => Err(explain(folder, status)),
    }
}

/// Whether the package says what its profile `watch` is. If a workspace above it does, the defaults stand for that.
fn has_watch_profile(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|text| text.contains(&format!("profile.{WATCH}")))
}

/// A line of cargo's JSON messages, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module files that a line tells of.
fn made(line: &str) -> Vec<PathBuf> {
    let is_module = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "wasm");
    match serde_json::from_str::<Message>(line) {
        Ok(message) if message.reason == "compiler-artifact" => {
            message.filenames.into_iter().filter(is_module).collect()
        }
        // Other messages, and what build scripts print.
        _ => Vec::new(),
    }
}

/// Why cargo failed. The target is looked for only now: a build that succeeds need not wait for it.
fn explain(folder: &Path, status: ExitStatus) -> Failure {
    if lacks_target(folder) {
        let message = format!("the toolchain lacks the target {TARGET}");
        return Failure::coded(errors::NO_TOOLCHAIN, message)
            .help(format!("rustup target add {TARGET}"));
    }
    let how = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    Failure::coded(errors::NOT_BUILT, format!("cargo build failed in {} ({how})", folder.display()))
        .help("what cargo and the compiler say stands above")
}

/// Whether the toolchain of a folder has no standard library for the target. False if that is not known.
fn lacks_target(folder: &Path) -> bool {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|answer| {
        answer.status.success()
            && !Path::new(String::from_utf8_lossy(&answer.stdout).trim_end()).is_dir()
    })
}

fn not_started(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::coded(errors::NO_TOOLCHAIN, "cargo is not on the PATH")
            .help(format!(
                "install Rust from https://rustup.rs, then: rustup target add {TARGET};\n\
                 `--no-build` of `millstream test` takes modules as they are"
            )),
        _ => Failure::coded(errors::SYSTEM, "cargo does not start").because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_among_cargos_messages() {
        let artifact =
            r#"{"reason":"compiler-artifact","filenames":["/t/a.wasm","/t/a.d"],"fresh":true}"#;
        assert_eq!(made(artifact), [PathBuf::from("/t/a.wasm")]);
        for line in [
            r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "a build script's word",
        ] {
            assert!(made(line).is_empty(), "{line}");
        }
    }
}
