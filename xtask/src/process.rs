//! Child processes: how they are started, shown and judged.

use std::convert::Infallible;
use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What `cargo run` tells this process about the crate `xtask`. Build scripts of dependencies (ring's, for
/// one) ask to be run again when such a variable changes, so a nested cargo must not see them:
/// otherwise every change between `cargo build` and `cargo xtask build` compiles them anew.
const SET_BY_CARGO_RUN: [&str; 6] = [
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
];

/// A cargo of the toolchain that runs us, with the environment of a cargo called by hand.
pub fn cargo() -> Command {
    let mut command = Command::new(cargo_program());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || SET_BY_CARGO_RUN.contains(&name.as_ref()) {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// The cargo that started us, or the one on `PATH`.
pub fn cargo_program() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Says on stderr what happens next.
pub fn say(message: &str) {
    eprintln!("==> {message}");
}

/// Shows the command, runs it without stdin, and fails when it fails. All that it prints is talk: stderr.
pub fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    eprintln!("  $ {line}");
    let status = command
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs the command quietly and returns its stdout; the error holds its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start `{line}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` ended with {}: {}", output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not print UTF-8"))
}

/// Becomes the command: signals and the exit status are then the command's own.
pub fn exec(command: &mut Command) -> Result<Infallible> {
    let line = describe(command);
    eprintln!("  $ {line}");
    Err(command.exec()).with_context(|| format!("start `{line}`"))
}

/// Whether a program answers to these arguments with success.
pub fn answers(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as a person would type it, with the folders of long program paths left out.
fn describe(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program);
    let mut line = name.to_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_its_stderr() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .expect_err("the command exits with 3");
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 3") && text.contains("broken"), "{text}");
    }

    #[test]
    fn nested_cargo_does_not_see_this_crate() {
        let command = cargo();
        let removed = command.get_envs().filter(|(_, value)| value.is_none()).count();
        // The test runner sets CARGO_PKG_NAME and its siblings, as `cargo run` does.
        assert!(removed > 5, "{removed} variables were removed");
    }
}
