//! The policy on dependencies: the parts of `deny.toml` that we check ourselves.
//!
//! The file is cargo-deny's, and read from one place by both, so that they cannot disagree.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What `deny.toml` says.
#[derive(Deserialize)]
pub struct Policy {
    /// Licences.
    pub licenses: Licenses,
    /// Crates.
    pub bans: Bans,
}

/// Section `licenses`.
#[derive(Deserialize)]
pub struct Licenses {
    /// SPDX identifiers that are allowed.
    pub allow: Vec<String>,
}

/// Section `bans`.
#[derive(Deserialize)]
pub struct Bans {
    /// Crates that are denied, or denied in more than one version.
    pub deny: Vec<Ban>,
}

/// An entry of `bans.deny`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ban {
    /// Name of the crate.
    #[serde(rename = "crate")]
    pub name: String,
    /// Whether one version is fine and only a second one is denied.
    #[serde(default)]
    pub deny_multiple_versions: bool,
    /// Why, and what to use instead.
    #[serde(default)]
    pub reason: String,
}

impl Policy {
    /// Reads `deny.toml` in the root of the checkout.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("deny.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("understand {}", path.display()))
    }
}
