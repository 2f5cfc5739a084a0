//! `module.*`: modules in the registry.

use serde::{Deserialize, Serialize};

use super::{Done, operations, said_by};
use crate::access::Target;

/// Registers a module whose bytes the client has put into the object store [`crate::registry::UPLOADS_BUCKET`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Push {
    /// SHA-256 of the bytes, 64 hexadecimal digits.
    pub digest: String,
    /// Who pushes, for the record (`user@host`).
    #[serde(default)]
    pub by: String,
    /// Registers the bytes by digest alone, without claiming the name and version that the module
    /// says of itself: what `apply` does with a module named by file, which changes from build to build.
    #[serde(default)]
    pub unnamed: bool,
}

/// A push that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The module.
    pub module: ModuleInfo,
    /// False if the registry held exactly this already.
    pub new: bool,
}

/// Lists the registry.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {}

/// What the registry holds, by name and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of name and version; unnamed ones last.
    pub modules: Vec<ModuleInfo>,
}

/// One module by reference: `name@version`, `sha256:<64 digits>`, or a `name` that has one version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Show {
    /// The reference.
    pub module: String,
}

/// Removes a module that no pipeline uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remove {
    /// The reference, as in [`Show`].
    pub module: String,
}

/// A module on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Pushed for a manifest's `file`; it does not own its name and version.
    #[serde(default)]
    pub unnamed: bool,
    /// When it was pushed, milliseconds since 1970 UTC.
    pub pushed_at_ms: i64,
    /// Who pushed it.
    #[serde(default)]
    pub by: String,
    /// What it says of itself.
    pub description: DescriptionInfo,
    /// Pipelines (`pipeline/stage`) that run it.
    #[serde(default)]
    pub used_by: Vec<String>,
}

/// A UDF's description, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptionInfo {
    /// Declared inputs.
    pub inputs: Vec<PortInfo>,
    /// Declared outputs.
    pub outputs: Vec<PortInfo>,
    /// Declared states.
    pub states: Vec<StateInfo>,
    /// Declared timers.
    pub timers: Vec<TimerInfo>,
    /// `config`, `random`, `metrics`.
    pub capabilities: Vec<String>,
}

/// A declared input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Its name.
    pub name: String,
    /// Its fields, as `name: type`, with `?` behind the type of an optional one.
    pub fields: Vec<String>,
}

/// A declared state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateInfo {
    /// Its name.
    pub name: String,
    /// `value`, `list` or `map`.
    pub kind: String,
    /// Life of an element after its last write, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Version of the guest's own encoding.
    pub schema_version: u32,
}

/// A declared timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerInfo {
    /// Its name.
    pub name: String,
    /// `event-time` or `processing-time`.
    pub domain: String,
}

operations! {
    Push => ModulePush => Pushed {
        fn target(&self) -> Target {
            Target::named(format!("sha256:{}", self.digest))
        }
        said_by!();
    },
    List => ModuleList => Listing,
    Show => ModuleShow => ModuleInfo,
    Remove => ModuleRemove => Done {
        fn target(&self) -> Target {
            Target::named(&self.module)
        }
    },
}
