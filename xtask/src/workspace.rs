//! Where things are: the root of the checkout and cargo's target folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::process;

/// The checkout that `cargo xtask` was called in.
pub struct Workspace {
    /// Root folder: the one with the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// What `cargo metadata` calls the target folder (follows `CARGO_TARGET_DIR`).
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo. `cargo run` names this crate's folder; without it the current folder decides.
    pub fn load() -> Result<Self> {
        let own =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let metadata =
            command(&own.join("Cargo.toml")).no_deps().exec().context("find the workspace")?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
        })
    }

    /// A binary of the release profile, whether it was built yet or not.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }
}

/// The members of a workspace and their declared dependencies, without resolving the graph.
pub fn members(manifest: &Path) -> Result<Metadata> {
    command(manifest).no_deps().exec().with_context(|| format!("read {}", manifest.display()))
}

/// The resolved dependency graph for one target platform. Fails when the lock file is out of date.
pub fn graph(manifest: &Path, platform: &str) -> Result<Metadata> {
    command(manifest)
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), platform.to_owned()])
        .exec()
        .with_context(|| format!("resolve the dependencies of {}", manifest.display()))
}

fn command(manifest: &Path) -> MetadataCommand {
    let mut command = MetadataCommand::new();
    command.cargo_path(process::cargo_program()).manifest_path(manifest);
    command
}
