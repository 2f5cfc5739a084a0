//! The stage's `config`: routes, calendars, risk and netting cycles.

use std::collections::BTreeMap;

use finance::{Calendar, Currency};
use millstream_udf::prelude::*;

/// Routes, at most: each is looked at for each payment.
pub const ROUTES_MAX: usize = 32;
/// Points of risk of a part, at most.
pub const RISK_POINTS_MAX: i64 = 10_000;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub routes: Vec<Route>,
    /// Business days by name.
    #[serde(default)]
    pub calendars: BTreeMap<String, Calendar>,
    /// Points by the creditor's country.
    #[serde(default)]
    pub country_risk: BTreeMap<String, i64>,
    /// A payment goes no route on which it would have more points.
    #[serde(default = "max_risk_points")]
    pub max_risk_points: i64,
    /// What a calendar day until the value date counts when routes are compared, in hundredths of a percent of the amount.
    #[serde(default)]
    pub day_cost_bps: i64,
    /// Periods after which netted payments settle.
    #[serde(default = "hour")]
    pub cycle: Window,
}

/// A way for payments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    pub currencies: Vec<Currency>,
    /// The creditor's countries; all if there is none.
    #[serde(default)]
    pub countries: Vec<String>,
    #[serde(default)]
    pub min_minor: i64,
    pub max_minor: Option<i64>,
    /// Per payment, in minor units of its currency.
    #[serde(default)]
    pub fee_minor: i64,
    /// Of the amount, in hundredths of a percent.
    #[serde(default)]
    pub fee_bps: i64,
    /// Local time up to which a payment is taken on its day.
    pub cut_off: TimeOfDay,
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// Business is done when it is in all of these.
    #[serde(default)]
    pub calendars: Vec<String>,
    /// Business days from acceptance to value.
    #[serde(default)]
    pub settlement_days: i32,
    #[serde(default)]
    pub risk_points: i64,
    #[serde(default)]
    pub netting: Netting,
}

/// How payments of a route settle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Netting {
    /// One by one.
    #[default]
    Gross,
    /// What two participants owe each other, against each other.
    Bilateral,
    /// Each participant's position towards all others.
    Multilateral,
}

/// Minutes since midnight; in a configuration `"15:30"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay(pub i64);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let part = |text: &str, below: i64| {
            let two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<i64>().ok().filter(|_| two_digits)?;
            (0..below).contains(&number).then_some(number)
        };
        let parts = text.split_once(':');
        match parts.and_then(|(hour, minute)| Some((part(hour, 24)?, part(minute, 60)?))) {
            Some((hour, minute)) => Ok(Self(hour * 60 + minute)),
            None => Err(format!("`{text}` is no time of day like 15:30")),
        }
    }
}

fn max_risk_points() -> i64 {
    100
}

fn hour() -> Window {
    Window::tumbling(std::time::Duration::from_secs(3_600))
}

fn within(name: &str, value: i64, least: i64, most: i64) -> Result<()> {
    ensure!((least..=most).contains(&value), "`{name}` is {value}; it must be {least} to {most}");
    Ok(())
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        within("routes", self.routes.len() as i64, 1, ROUTES_MAX as i64)?;
        within("max_risk_points", self.max_risk_points, 0, i64::MAX)?;
        within("day_cost_bps", self.day_cost_bps, 0, 10_000)?;
        for (country, points) in &self.country_risk {
            within(&format!("country_risk.{country}"), *points, 0, RISK_POINTS_MAX)?;
        }
        for (i, route) in self.routes.iter().enumerate() {
            let name = &route.name;
            let twice = self.routes[..i].iter().any(|other| other.name == *name);
            ensure!(!twice, "route `{name}` is named twice");
            ensure!(!route.currencies.is_empty(), "route `{name}` takes no currency");
            for calendar in &route.calendars {
                let known = self.calendars.contains_key(calendar);
                ensure!(known, "route `{name}` names calendar `{calendar}`, which is not there");
            }
            let named = |field: &str| format!("{name}.{field}");
            within(&named("min_minor"), route.min_minor, 0, i64::MAX)?;
            let max = route.max_minor.unwrap_or(i64::MAX);
            within(&named("max_minor"), max, route.min_minor, i64::MAX)?;
            within(&named("fee_minor"), route.fee_minor, 0, i64::MAX / 4)?;
            within(&named("fee_bps"), route.fee_bps, 0, 10_000)?;
            within(&named("utc_offset_minutes"), route.utc_offset_minutes.into(), -1_440, 1_440)?;
            within(&named("settlement_days"), route.settlement_days.into(), 0, 30)?;
            within(&named("risk_points"), route.risk_points, 0, RISK_POINTS_MAX)?;
        }
        Ok(self)
    }
}
