//! The stage's `config`: the gap between sessions, the funnel, and what a bounce is.

use std::time::Duration;

use millstream_udf::prelude::*;

/// Steps of a funnel, at most.
const STEPS_MAX: usize = 16;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A session ends when nothing happens for so long.
    #[serde(with = "millstream_udf::duration")]
    pub gap: Duration,
    /// Types of events, in the order in which a customer takes them.
    pub funnel: Vec<String>,
    /// Who has come as far as this step and no further than before the last has abandoned the funnel; without it the second.
    pub abandoned_from: Option<String>,
    /// A session of this length and longer is no bounce.
    #[serde(with = "millstream_udf::duration")]
    pub engaged_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gap: Duration::from_secs(30 * 60),
            funnel: ["login", "view", "add_payee", "confirm"].map(str::to_owned).into(),
            abandoned_from: None,
            engaged_after: Duration::from_secs(10),
        }
    }
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    pub gap: Duration,
    pub funnel: Vec<String>,
    /// Steps that must have been reached for a funnel to be abandoned.
    pub abandoned_from: usize,
    pub engaged_after_ms: i64,
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Checked> {
        let Self { gap, funnel, abandoned_from, engaged_after } = self;
        ensure!(!gap.is_zero(), "`gap` must be above 0");
        ensure!(
            (2..=STEPS_MAX).contains(&funnel.len()),
            "`funnel` has {} steps; it must have 2 to {STEPS_MAX}",
            funnel.len()
        );
        for (place, step) in funnel.iter().enumerate() {
            ensure!(!funnel[..place].contains(step), "`funnel` has the step `{step}` twice");
        }
        let abandoned_from = match &abandoned_from {
            None => 2,
            Some(name) => match funnel.iter().position(|step| step == name) {
                Some(place) => place + 1,
                None => bail!("`abandoned_from` is `{name}`, which is no step of `funnel`"),
            },
        };
        let engaged_after_ms = engaged_after.as_millis();
        ensure!(
            engaged_after_ms <= gap.as_millis(),
            "`engaged_after` is {engaged_after_ms} ms; it must not be above `gap`, which is {} ms",
            gap.as_millis()
        );
        Ok(Checked { gap, funnel, abandoned_from, engaged_after_ms: engaged_after_ms as i64 })
    }
}
