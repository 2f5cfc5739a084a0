//! The stage's `config`.

use std::collections::{BTreeMap, BTreeSet};

use expression::SCALE_MAX;
use millstream_udf::prelude::*;
use serde_json::{Value as Json, json};

/// Fields of a result, at most.
const FIELDS_MAX: usize = 50;

/// Names that results have anyway.
pub const KEY: &str = "key";
pub const START: &str = "start";
pub const END: &str = "end";

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the windows are laid out; a duration alone is a tumbling window.
    pub window: Json,
    /// Which records count at all.
    pub r#where: Option<String>,
    /// What is computed, by the name of the field that it becomes.
    pub fields: BTreeMap<String, Json>,
    /// Which results are emitted. Knows the result's fields.
    pub having: Option<String>,
}

/// What is computed for one field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    count: Option<String>,
    sum: Option<String>,
    min: Option<String>,
    max: Option<String>,
    avg: Option<String>,
    first: Option<String>,
    last: Option<String>,
    scale: Option<u8>,
}

/// A checked field.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub operation: Operation,
    /// None: `count` of all records.
    pub source: Option<String>,
    /// Digits behind the point, if numbers are to be exact.
    pub scale: Option<u8>,
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    First,
    Last,
}

impl Operation {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

impl Config {
    /// The layout of the windows.
    pub fn layout(&self) -> Result<Window> {
        let window = match &self.window {
            Json::String(size) => json!({"tumbling": size}),
            window => window.clone(),
        };
        serde_json::from_value(window).map_err(|error| Error::from(error).context("`window`"))
    }

    /// The fields in the order of their names.
    pub fn checked_fields(&self) -> Result<Vec<(&str, Field)>> {
        let count = self.fields.len();
        ensure!(
            (1..=FIELDS_MAX).contains(&count),
            "`fields` has {count} fields; it must have 1 to {FIELDS_MAX}"
        );
        let reserved = BTreeSet::from([KEY, START, END]);
        let checked = self.fields.iter().map(|(name, settings)| {
            ensure!(
                !reserved.contains(name.as_str()),
                "`fields.{name}`: every result has a field `{name}` anyway"
            );
            let field =
                field(settings).map_err(|error| error.context(format_args!("`fields.{name}`")))?;
            Ok((name.as_str(), field))
        });
        checked.collect()
    }
}

fn field(settings: &Json) -> Result<Field> {
    if settings == "count" {
        return Ok(Field { operation: Operation::Count, source: None, scale: None });
    }
    ensure!(
        settings.is_object(),
        "it is `count`, or one of count, sum, min, max, avg, first and last with an expression"
    );
    let settings: Settings = serde_json::from_value(settings.clone())?;
    let scale = settings.scale;
    let mut given = [
        (Operation::Count, settings.count),
        (Operation::Sum, settings.sum),
        (Operation::Min, settings.min),
        (Operation::Max, settings.max),
        (Operation::Avg, settings.avg),
        (Operation::First, settings.first),
        (Operation::Last, settings.last),
    ]
    .into_iter()
    .filter_map(|(operation, source)| source.map(|source| (operation, source)));
    let (Some((operation, source)), None) = (given.next(), given.next()) else {
        bail!("it has exactly one of count, sum, min, max, avg, first and last");
    };
    if let Some(scale) = scale {
        ensure!(scale <= SCALE_MAX, "`scale` is {scale}; it must be 0 to {SCALE_MAX}");
        ensure!(operation != Operation::Count, "`count` has no `scale`");
    }
    Ok(Field { operation, source: Some(source), scale })
}
