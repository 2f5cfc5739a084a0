//! The stage's `config`: the schema, and how long to wait for what is missing.

use std::time::Duration;

use millstream_udf::prelude::*;

use crate::schema::{Field, Kind};

/// Fields of the schema, at most.
const FIELDS_MAX: usize = 200;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What `data` must hold. Fields that are not named are not looked at.
    pub fields: Vec<Field>,
    /// The integer field of `data` that is added up for control totals.
    pub total_field: Option<String>,
    /// The number of a source's first record.
    pub first_seq: u64,
    /// Whether records are chained by hashes.
    pub hash_chain: bool,
    /// Event time after which missing numbers are reported.
    #[serde(with = "millstream_udf::duration")]
    pub gap_grace: Duration,
    /// Event time from a control to its reconciliation.
    #[serde(with = "millstream_udf::duration")]
    pub control_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            total_field: None,
            first_seq: 1,
            hash_chain: false,
            gap_grace: Duration::from_secs(300),
            control_grace: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        let count = self.fields.len();
        ensure!(count <= FIELDS_MAX, "`fields` has {count} entries; {FIELDS_MAX} are allowed");
        for (i, field) in self.fields.iter().enumerate() {
            field.checked()?;
            let twice = self.fields[..i].iter().any(|other| other.name == field.name);
            ensure!(!twice, "field `{}` is named twice", field.name);
        }
        if let Some(name) = &self.total_field {
            let integer = |field: &Field| field.name == *name && field.kind == Kind::Integer;
            ensure!(
                self.fields.iter().any(integer),
                "`total_field` is `{name}`, which is no integer field"
            );
        }
        Ok(self)
    }

    /// [`Self::gap_grace`] in milliseconds.
    pub fn gap_grace_ms(&self) -> i64 {
        i64::try_from(self.gap_grace.as_millis()).unwrap_or(i64::MAX)
    }

    /// [`Self::control_grace`] in milliseconds.
    pub fn control_grace_ms(&self) -> i64 {
        i64::try_from(self.control_grace.as_millis()).unwrap_or(i64::MAX)
    }
}
