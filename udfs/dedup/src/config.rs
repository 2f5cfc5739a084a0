//! The stage's `config`.

use expression::duration_ms;
use millstream_udf::prelude::*;

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What makes two records of a key the same; without it the key alone does.
    pub by: Option<String>,
    /// How far apart in event time two records must be not to be the same.
    pub within: String,
    /// How far behind the watermark a record may be and still be judged.
    #[serde(default)]
    pub lateness: Option<String>,
}

/// Lengths in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    pub within: i64,
    pub lateness: i64,
}

impl Config {
    /// The lengths, if they make sense.
    pub fn lengths(&self) -> Result<Lengths> {
        let lateness =
            self.lateness.as_deref().map_or(Ok(0), |text| duration_ms("lateness", text, 0));
        Ok(Lengths { within: duration_ms("within", &self.within, 1)?, lateness: lateness? })
    }
}
