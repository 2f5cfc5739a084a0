//! The WebAssembly modules: guests that build for `wasm32-wasip2` in cargo workspaces of their own.
//!
//! Every built module is copied to `<workspace>/dist/<package>.wasm`, a place that does not depend on cargo's
//! target folder, so that a manifest may name a module by a path relative to itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, TargetKind};

use crate::process::{self, run, say};
use crate::workspace::{Workspace, members};

/// The target that guests are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// A cargo workspace of guests.
pub struct GuestWorkspace {
    /// Folder, relative to the root of the checkout.
    pub folder: &'static str,
    /// Whether its crates also compile for the host, where their unit tests run.
    pub tested_natively: bool,
}

/// The modules that are shipped.
pub const SHIPPED: GuestWorkspace = GuestWorkspace { folder: "udfs", tested_natively: true };

/// Guests that misbehave on purpose: only tests load them.
pub const FOR_TESTS: GuestWorkspace =
    GuestWorkspace { folder: "tests/guests", tested_natively: false };

impl GuestWorkspace {
    /// Its `Cargo.toml`.
    pub fn manifest(&self, workspace: &Workspace) -> PathBuf {
        workspace.root.join(self.folder).join("Cargo.toml")
    }

    /// Whether the checkout has this workspace.
    pub fn exists(&self, workspace: &Workspace) -> bool {
        self.manifest(workspace).is_file()
    }

    /// Where its modules are put.
    pub fn dist(&self, workspace: &Workspace) -> PathBuf {
        workspace.root.join(self.folder).join("dist")
    }

    /// A cargo subcommand on the whole of this workspace, as [`cargo`].
    pub fn cargo(&self, workspace: &Workspace, subcommand: &str) -> Command {
        let mut command = cargo(workspace, &self.manifest(workspace), subcommand);
        command.arg("--workspace");
        command
    }

    /// Compiles every module and copies it to [`Self::dist`]; modules whose package is gone are removed there.
    pub fn build(&self, workspace: &Workspace) -> Result<()> {
        say(&format!("build the modules of {}", self.folder));
        run(self.cargo(workspace, "build").args(["--target", TARGET]))?;
        let modules = modules(&members(&self.manifest(workspace))?);
        if modules.is_empty() {
            bail!("{} has no package with a `cdylib` target", self.folder);
        }
        let dist = self.dist(workspace);
        fs::create_dir_all(&dist).with_context(|| format!("create {}", dist.display()))?;
        remove_others(&dist, &modules)?;
        let built = target_dir(workspace).join(TARGET).join("release");
        for module in &modules {
            let to = dist.join(&module.name);
            copy_if_different(&built.join(&module.artifact), &to)?;
            eprintln!("  {}/dist/{}", self.folder, module.name);
        }
        Ok(())
    }
}

/// A cargo subcommand for guests: the release profile, and the target folder that all guests share. It is not the
/// host's, because profiles and features differ.
pub fn cargo(workspace: &Workspace, manifest: &Path, subcommand: &str) -> Command {
    let mut command = process::cargo();
    command
        .args([subcommand, "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir(workspace));
    command
}

fn target_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("modules")
}

/// A module of a workspace.
#[derive(Debug, PartialEq, Eq)]
struct Module {
    /// File name in `dist`: the package's name and `.wasm`.
    name: String,
    /// File name in cargo's target folder: the library's name and `.wasm`.
    artifact: String,
}

fn modules(metadata: &Metadata) -> Vec<Module> {
    let mut modules = Vec::new();
    for package in metadata.workspace_packages() {
        for target in &package.targets {
            if target.kind.contains(&TargetKind::CDyLib) {
                modules.push(Module {
                    name: format!("{}.wasm", package.name),
                    artifact: format!("{}.wasm", target.name.replace('-', "_")),
                });
            }
        }
    }
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    modules
}

fn remove_others(dist: &Path, keep: &[Module]) -> Result<()> {
    for entry in fs::read_dir(dist).with_context(|| format!("list {}", dist.display()))? {
        let path = entry?.path();
        let is_module = path.extension().is_some_and(|extension| extension == "wasm");
        let kept = keep.iter().any(|module| path.ends_with(&module.name));
        if is_module && !kept {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Replaces the file in one step, and not at all when it is equal: a pipeline may be reading it.
pub fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let part = to.with_extension("wasm.part");
    fs::write(&part, &bytes).with_context(|| format!("write {}", part.display()))?;
    fs::rename(&part, to).with_context(|| format!("write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_without_a_package_are_removed() {
        let dist = tempfile::tempdir().expect("a temporary folder");
        for name in ["card-fraud.wasm", "gone.wasm", "notes.txt"] {
            fs::write(dist.path().join(name), name).expect("write");
        }
        let keep = [Module { name: "card-fraud.wasm".into(), artifact: "card_fraud.wasm".into() }];
        remove_others(dist.path(), &keep).expect("remove");
        let mut left: Vec<_> = fs::read_dir(dist.path())
            .expect("list")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
            .collect();
        left.sort();
        assert_eq!(left, ["card-fraud.wasm", "notes.txt"]);
    }

    #[test]
    fn an_equal_module_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (dir.path().join("a.wasm"), dir.path().join("b.wasm"));
        fs::write(&from, b"one").expect("write");
        copy_if_different(&from, &to).expect("copy");
        let before = fs::metadata(&to).expect("metadata").modified().expect("time");
        copy_if_different(&from, &to).expect("copy");
        assert_eq!(fs::metadata(&to).expect("metadata").modified().expect("time"), before);
        fs::write(&from, b"two").expect("write");
        copy_if_different(&from, &to).expect("copy");
        assert_eq!(fs::read(&to).expect("read"), b"two");
    }
}
