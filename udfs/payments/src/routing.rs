//! Which way a payment goes: of the routes that may take it the cheapest, and why the others do not.

use finance::calendar::{Calendar, DAY_MS, Date, IsoDate, date_of};
use finance::{Currency, Rounding, mul_div};
use millstream_udf::prelude::*;

use crate::config::{Config, Netting, Route};

/// A payment that is to be routed.
#[derive(Clone, Copy, Debug)]
pub struct Payment<'a> {
    pub ts: i64,
    /// Minor units, above 0.
    pub amount: i64,
    pub currency: Currency,
    /// The creditor's.
    pub country: &'a str,
    pub needed_by: Option<Date>,
    pub risk_points: i64,
}

/// A route that may take the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'c> {
    pub route: &'c str,
    pub netting: Netting,
    pub cost: i64,
    pub value_date: Date,
    pub risk_points: i64,
    /// What routes are compared by: the cost, and what the time until the value date counts.
    weight: i128,
}

/// A route that does not take the payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    pub route: String,
    /// See the README.
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_date: Option<IsoDate>,
}

/// The routes, with the calendars that each follows.
#[derive(Debug)]
pub struct Router {
    config: Config,
    calendars: Vec<Calendar>,
}

impl Router {
    /// A router by a configuration that was checked.
    pub fn new(config: Config) -> Self {
        let calendar = |route: &Route| {
            let named = route.calendars.iter().filter_map(|name| config.calendars.get(name));
            named.cloned().reduce(|a, b| a.joined(&b)).unwrap_or_default()
        };
        Self { calendars: config.routes.iter().map(calendar).collect(), config }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The best route if there is one, and the others in the order of the configuration: those that may not take the
    /// payment, and those that are dearer. Of equals the one with the earlier value date, then the first.
    pub fn route(&self, payment: &Payment<'_>) -> (Option<Offer<'_>>, Vec<Rejection>) {
        let offers: Vec<_> = self
            .config
            .routes
            .iter()
            .zip(&self.calendars)
            .map(|(route, calendar)| self.offer(route, calendar, payment))
            .collect();
        let eligible = offers.iter().flatten();
        let best = eligible.min_by_key(|offer| (offer.weight, offer.value_date)).cloned();
        let others = offers
            .into_iter()
            .filter_map(|offer| match offer {
                Ok(offer) if Some(offer.route) == best.as_ref().map(|best| best.route) => None,
                Ok(offer) => Some(Rejection {
                    route: offer.route.to_owned(),
                    code: "dearer",
                    value_date: Some(IsoDate(offer.value_date)),
                }),
                Err(rejection) => Some(rejection),
            })
            .collect();
        (best, others)
    }

    fn offer<'c>(
        &self,
        route: &'c Route,
        calendar: &Calendar,
        payment: &Payment<'_>,
    ) -> Result<Offer<'c>, Rejection> {
        let no = |code| Rejection { route: route.name.clone(), code, value_date: None };
        let Payment { amount, currency, country, .. } = *payment;
        if !route.currencies.contains(&currency) {
            return Err(no("currency"));
        }
        if !route.countries.is_empty() && !route.countries.iter().any(|name| name == country) {
            return Err(no("country"));
        }
        if amount < route.min_minor || route.max_minor.is_some_and(|max| amount > max) {
            return Err(no("amount"));
        }
        let country_points = self.config.country_risk.get(country).copied().unwrap_or(0);
        let risk_points = route.risk_points + country_points + payment.risk_points;
        if risk_points > self.config.max_risk_points {
            return Err(no("risk"));
        }
        let (today, value_date) =
            value_date(route, calendar, payment.ts).ok_or_else(|| no("no_business_day"))?;
        if payment.needed_by.is_some_and(|needed_by| value_date > needed_by) {
            return Err(Rejection { value_date: Some(IsoDate(value_date)), ..no("too_late") });
        }
        let share = mul_div(amount.into(), route.fee_bps.into(), 10_000, Rounding::HalfUp);
        let cost = share.and_then(|share| share.checked_add(route.fee_minor));
        let cost = cost.ok_or_else(|| no("amount"))?;
        let days = (value_date - today).whole_days();
        let waiting = i128::from(amount) * i128::from(self.config.day_cost_bps) * i128::from(days);
        Ok(Offer {
            route: &route.name,
            netting: route.netting,
            cost,
            value_date,
            risk_points,
            weight: i128::from(cost) * 10_000 + waiting,
        })
    }
}

/// The local day of a moment, and when a payment that is given in then has value: what comes behind the cut-off time or on
/// a day without business counts as received on the next business day. `None` if there is none within a year.
fn value_date(route: &Route, calendar: &Calendar, ts: i64) -> Option<(Date, Date)> {
    let today = date_of(ts, route.utc_offset_minutes)?;
    let of_day_ms =
        ts.checked_add(i64::from(route.utc_offset_minutes) * 60_000)?.rem_euclid(DAY_MS);
    let in_time = of_day_ms <= route.cut_off.0 * 60_000;
    let accepted = if in_time && calendar.is_business_day(today) {
        today
    } else {
        calendar.add_business_days(today, 1)?
    };
    Some((today, calendar.add_business_days(accepted, route.settlement_days)?))
}
