//! The stage's `config`.

use std::collections::{BTreeMap, BTreeSet};

use expression::Constant;
use millstream_udf::prelude::*;

/// Rows of a table, at most.
const ROWS_MAX: usize = 1_000;
/// Fields that are added, at most.
const FIELDS_MAX: usize = 200;

/// The settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Rows by their key; any JSON.
    pub table: Option<BTreeMap<String, Constant>>,
    /// With `table`: the key of the row for a record.
    pub by: Option<String>,
    /// Instead of `table`: which records are rows, each for the records of the same key behind it.
    pub reference: Option<Reference>,
    /// Expressions by the name of the field that they add. They know the row as `row`.
    pub fields: BTreeMap<String, String>,
    /// What becomes of a record without a row.
    #[serde(default)]
    pub unmatched: Unmatched,
}

/// Rows that come with the records.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Whether a record is a row.
    pub when: String,
    /// Whether a row removes that of its key instead of becoming it.
    pub remove: Option<String>,
    /// The fields that are kept of a row; all if it is not given.
    pub keep: Option<BTreeSet<String>>,
}

/// What becomes of a record without a row.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmatched {
    /// It is a dead letter.
    #[default]
    Refuse,
    /// It goes to `output` as it is.
    Pass,
    /// It goes to the output `unmatched` as it is.
    Divert,
}

/// Where rows come from.
pub enum Rows {
    /// From the configuration, by the expression `by`.
    Table { table: BTreeMap<String, Constant>, by: String },
    /// From the stage's records.
    Reference(Reference),
}

impl Config {
    /// Where rows come from, if the configuration makes sense.
    pub fn rows(&mut self) -> Result<Rows> {
        let count = self.fields.len();
        ensure!(
            (1..=FIELDS_MAX).contains(&count),
            "`fields` has {count} fields; it must have 1 to {FIELDS_MAX}"
        );
        match (self.table.take(), self.by.take(), self.reference.take()) {
            (Some(table), Some(by), None) => {
                let count = table.len();
                ensure!(count <= ROWS_MAX, "`table` has {count} rows; {ROWS_MAX} are allowed");
                Ok(Rows::Table { table, by })
            }
            (None, None, Some(reference)) => Ok(Rows::Reference(reference)),
            (Some(_), None, None) => bail!("`by` is missing: which row of `table` is for a record"),
            (None, Some(_), Some(_)) => {
                bail!("`by` goes with `table`; a reference is for records of its key")
            }
            _ => bail!("rows come from either `table` and `by`, or `reference`"),
        }
    }
}
