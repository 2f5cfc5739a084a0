//! The parts of the Rust toolchain beyond the compiler: rustfmt, clippy and the modules' target.
//!
//! The compiler's version is cargo's business: `rust-version` in `Cargo.toml` makes it refuse an older one by name.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::modules;
use crate::process::{answers, output, run, say};

/// Adds what is missing with rustup, to the toolchain that runs us.
pub fn ensure() -> Result<()> {
    let target = modules::TARGET;
    let sysroot = output(Command::new(rustc()).args(["--print", "sysroot"]))?;
    if !Path::new(sysroot.trim()).join("lib/rustlib").join(target).is_dir() {
        say(&format!("add the Rust target {target}"));
        rustup(&["target", "add", target])
            .with_context(|| format!("modules are compiled for {target}"))?;
    }
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !answers("cargo", &[subcommand, "--version"]) {
            say(&format!("add the Rust component {component}"));
            rustup(&["component", "add", component])?;
        }
    }
    Ok(())
}

/// Whether the compiler is of a later release than the one named, for example `1.95`.
pub fn is_newer_than(release: &str) -> Result<bool> {
    let text = output(Command::new(rustc()).arg("--version"))?;
    let ours = release_of(release).with_context(|| format!("read a release from {release:?}"))?;
    let its = text.split_whitespace().nth(1).and_then(release_of);
    Ok(its.with_context(|| format!("read a release from {text:?}"))? > ours)
}

/// The platform of the compiler itself, for example `x86_64-unknown-linux-gnu`.
pub fn host() -> Result<String> {
    let text = output(Command::new(rustc()).arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

fn rustc() -> String {
    env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())
}

fn rustup(args: &[&str]) -> Result<()> {
    if !answers("rustup", &["--version"]) {
        bail!(
            "rustup is not installed; with the tool that installed Rust, do what `rustup {}` does",
            args.join(" ")
        );
    }
    run(Command::new("rustup").args(args))
}

/// Major and minor version: patches bring no lints.
fn release_of(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_major_and_minor() {
        assert_eq!(release_of("1.95.0"), Some((1, 95)));
        assert_eq!(release_of("1.95"), release_of("1.95.1"));
        assert!(release_of("1.97.0-nightly") > release_of("1.95"));
        assert_eq!(release_of("rustc"), None);
    }
}
