//! The stage's `config`.

use std::collections::{BTreeMap, BTreeSet};

use millstream_udf::prelude::*;

/// Fields of a record that is made, at most.
const FIELDS_MAX: usize = 200;

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Expressions by the name of the field that they make.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Fields that stay as they are, besides.
    #[serde(default)]
    pub keep: Keep,
    /// Fields that do not stay, with `keep: "*"`.
    #[serde(default)]
    pub drop: BTreeSet<String>,
}

/// Which fields stay as they are.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`keep` is \"*\" or a list of names")]
pub enum Keep {
    /// `*`: all.
    Word(String),
    /// These, if the record has them.
    These(BTreeSet<String>),
}

impl Default for Keep {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        let kept = match &self.keep {
            Keep::Word(word) => {
                ensure!(word == "*", "`keep` is `{word}`; it is \"*\" or a list of names");
                1
            }
            Keep::These(names) => {
                ensure!(self.drop.is_empty(), "`drop` goes with `keep: \"*\"`");
                names.len()
            }
        };
        let count = self.fields.len() + kept;
        ensure!(count > 0, "`fields` and `keep` are empty; there must be a field");
        ensure!(count <= FIELDS_MAX, "there are {count} fields; {FIELDS_MAX} are allowed");
        Ok(self)
    }

    /// Whether any field of the record may stay.
    pub fn keeps_any(&self) -> bool {
        !matches!(&self.keep, Keep::These(names) if names.is_empty())
    }

    /// Whether a field of the record stays.
    pub fn keeps(&self, name: &str) -> bool {
        match &self.keep {
            Keep::Word(_) => !self.drop.contains(name),
            Keep::These(names) => names.contains(name),
        }
    }
}
