//! mdbook: found on the machine, or built once into the project's cache.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{cargo, output, run, say};

/// The version that is built. Any of the same minor version is as good.
const VERSION: &str = "0.5.4";

const PROGRAM: &str = "mdbook";

/// The program to call: the one on `PATH`, one in `$HOME/.cache/millstream/mdbook`, or one that is built now, which
/// takes some minutes.
pub fn mdbook() -> Result<PathBuf> {
    let home = env::var_os("HOME").context("the environment has no HOME")?;
    let folder = PathBuf::from(home).join(".cache/millstream").join(PROGRAM).join(VERSION);
    let built = folder.join("bin").join(PROGRAM);
    for program in [PathBuf::from(PROGRAM), built.clone()] {
        if output(Command::new(&program).arg("--version")).is_ok_and(|text| fits(&text)) {
            return Ok(program);
        }
    }
    say(&format!("build {PROGRAM} {VERSION} into {}", folder.display()));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    run(cargo()
        .args(["install", PROGRAM, "--version", VERSION, "--locked", "--no-default-features"])
        .args(["--features", "search", "--root"])
        .arg(&folder)
        // Not among our own: it shares nothing with them.
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(built)
}

/// Reads `mdbook v0.5.4`.
fn fits(version: &str) -> bool {
    let minor = VERSION.rsplit_once('.').map_or(VERSION, |(minor, _)| minor);
    version.trim().trim_start_matches(PROGRAM).trim_start().strip_prefix('v').is_some_and(
        |version| version.strip_prefix(minor).is_some_and(|patch| patch.starts_with('.')),
    )
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_patch_more_or_less_is_as_good() {
        assert!(fits("mdbook v0.5.4\n"));
        assert!(fits("mdbook v0.5.0"));
        assert!(!fits("mdbook v0.4.52"));
        assert!(!fits("mdbook v0.50.1"));
        assert!(!fits("something else"));
    }
}
