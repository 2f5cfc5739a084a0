//! A Python with what `examples/python` is built with: a virtual environment of its own in the project's cache.
//!
//! Nothing else of the project needs Python, so a machine that has none, or cannot reach the package index, is no failure:
//! the caller says what was left out.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{answers, run, say};

/// What a virtual environment is made with: the module `venv`, and `ensurepip`, which Debian has in a package of its own.
const NEEDED: [&str; 2] = ["venv", "ensurepip"];

/// The interpreter of a virtual environment that holds what the file of requirements lists; it is made if it is not there.
pub fn with_requirements(requirements: &Path) -> Result<PathBuf> {
    let listed = fs::read_to_string(requirements)
        .with_context(|| format!("read {}", requirements.display()))?;
    let cache = cache_folder()?;
    let folder = cache.join(folder_name(&listed));
    if !folder.is_dir() {
        make(&folder, &cache, requirements)?;
    }
    Ok(interpreter(&folder))
}

fn make(folder: &Path, cache: &Path, requirements: &Path) -> Result<()> {
    if !answers("python3", &["--version"]) {
        bail!("python3 is not installed");
    }
    for module in NEEDED {
        if !answers("python3", &["-c", &format!("import {module}")]) {
            bail!("python3 has no module {module}; on Debian the package python3-venv brings it");
        }
    }
    say(&format!("make a Python environment in {}", folder.display()));
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    // Beside its final place, so that moving it there is one step, whoever else does the same. An interpreter finds its
    // packages wherever its environment lies.
    let scratch = tempfile::Builder::new()
        .prefix("make-")
        .tempdir_in(cache)
        .with_context(|| format!("create a folder in {}", cache.display()))?;
    let made = scratch.path().join("environment");
    run(Command::new("python3").args(["-m", "venv"]).arg(&made))?;
    let mut install = Command::new(interpreter(&made));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    run(install.arg(requirements)).context("install the Python packages")?;
    match fs::rename(&made, folder) {
        Err(_) if folder.is_dir() => Ok(()),
        renamed => renamed.with_context(|| format!("write {}", folder.display())),
    }
}

/// `$HOME/.cache/millstream/python`: one folder per list of requirements.
pub fn cache_folder() -> Result<PathBuf> {
    let home = env::var_os("HOME").context("the environment has no HOME")?;
    Ok(PathBuf::from(home).join(".cache/millstream/python"))
}

fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

/// A name that tells lists of requirements apart: `componentize-py==0.25.1` is its own.
fn folder_name(listed: &str) -> String {
    let lines = listed.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("+").replace(['/', ' '], "_")
}
