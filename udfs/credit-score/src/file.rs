//! What is kept of a customer, and how events change it. All in integers: thousandths of a point,
//! minor units of money, milliseconds.

use finance::Money;
use finance::fading::Passage;
use millstream_udf::prelude::*;

use crate::config::{Config, DAY_MS, MILLI};

/// A customer's credit file. Points that fade are in thousandths, as of `as_of_ms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditFile {
    /// The newest event time seen; none before the first event.
    pub as_of_ms: Option<i64>,
    /// Earned by repayments.
    pub repaid_milli: i64,
    /// Lost by missed payments.
    pub missed_milli: i64,
    /// Lost by enquiries.
    pub enquired_milli: i64,
    /// Use of the limit in hundredths of a percent, and when it was reported.
    pub utilisation: Option<(i64, i64)>,
    /// The last score given out.
    pub score: Option<i64>,
    /// When the score is computed again if nothing happens.
    pub rescore_at_ms: Option<i64>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `amount` of `due` was paid on time.
    Repayment { amount: Money, due: Money },
    /// `balance` of `limit` is in use.
    Utilisation { balance: Money, limit: Money },
    /// A payment is late by so many days.
    MissedPayment { days_late: i64 },
    /// Someone asked about the customer.
    Enquiry,
}

/// Why the score is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// See the README.
    pub code: &'static str,
    /// Whole points, rounded towards zero; negative when they lower the score.
    pub points: i64,
}

/// A score and what made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    pub score: i64,
    /// The largest effect first.
    pub reasons: Vec<Reason>,
}

impl CreditFile {
    /// Moves the file to this time. An event from before leaves it where it is.
    pub fn advance(&mut self, to_ms: i64, config: &Config) -> Passage {
        let passage = Passage::to(to_ms, self.as_of_ms);
        for (points, days) in [
            (&mut self.repaid_milli, config.repayment_half_life_days),
            (&mut self.missed_milli, config.missed_half_life_days),
            (&mut self.enquired_milli, config.enquiry_half_life_days),
        ] {
            *points = passage.left(*points, days * DAY_MS);
        }
        self.as_of_ms = Some(passage.as_of_ms);
        passage
    }

    /// Applies an event of this time. What an event from the past adds has faded since, so that the order
    /// of arrival matters by rounding only.
    pub fn apply(&mut self, event: Event, at_ms: i64, config: &Config) -> Result<()> {
        let passage = self.advance(at_ms, config);
        let faded = |points: i64, days: i64| passage.added(points * MILLI, days * DAY_MS);
        match event {
            Event::Repayment { amount, due } => {
                ensure!(due.minor > 0, "a repayment of nothing due ({due})");
                ensure!(amount.minor > 0, "a repayment of {amount}");
                let share = ratio(amount.minor.min(due.minor), due, 1_000);
                // At most 10^5 points: the product fits 64 bits.
                let earned =
                    faded(config.repayment, config.repayment_half_life_days) * share / 1_000;
                self.repaid_milli = (self.repaid_milli + earned).min(config.repayment_max * MILLI);
            }
            Event::MissedPayment { days_late } => {
                ensure!(days_late > 0, "a missed payment that is {days_late} days late");
                let [light, medium, severe] = config.missed;
                let points = match days_late {
                    ..=30 => light,
                    31..=60 => medium,
                    _ => severe,
                };
                self.missed_milli =
                    self.missed_milli.saturating_add(faded(points, config.missed_half_life_days));
            }
            Event::Enquiry => {
                let lost = faded(config.enquiry, config.enquiry_half_life_days);
                self.enquired_milli = self.enquired_milli.saturating_add(lost);
            }
            Event::Utilisation { balance, limit } => {
                ensure!(limit.minor > 0, "a limit of {limit}");
                if self.utilisation.is_none_or(|(_, reported_ms)| at_ms >= reported_ms) {
                    self.utilisation = Some((ratio(balance.minor.max(0), limit, 10_000), at_ms));
                }
            }
        }
        Ok(())
    }

    /// What the utilisation costs, in thousandths of a point: nothing up to the free share, then
    /// growing evenly to the full penalty at 100 %.
    fn utilisation_cost(&self, config: &Config) -> i64 {
        let Some((used, _)) = self.utilisation else { return 0 };
        let free = config.utilisation_free_percent * 100;
        let over = (used.min(10_000) - free).max(0);
        config.utilisation * MILLI * over / (10_000 - free)
    }

    /// The score as of now.
    pub fn assess(&self, config: &Config) -> Assessment {
        let utilisation = self.utilisation_cost(config);
        let effects = [
            ("repayments", self.repaid_milli),
            ("missed_payments", -self.missed_milli),
            ("utilisation", -utilisation),
            ("enquiries", -self.enquired_milli),
        ];
        let sum = effects
            .iter()
            .fold(config.base * MILLI, |sum, (_, effect)| sum.saturating_add(*effect));
        let unclamped = sum.div_euclid(MILLI);
        let score = unclamped.clamp(config.floor, config.ceiling);
        let mut reasons: Vec<Reason> = effects
            .into_iter()
            .map(|(code, milli)| Reason { code, points: milli / MILLI })
            .filter(|reason| reason.points != 0)
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points.abs()));
        if score != unclamped {
            let code = if score == config.floor { "at_floor" } else { "at_ceiling" };
            reasons.push(Reason { code, points: score - unclamped });
        }
        Assessment { score, reasons }
    }
}

/// `part_minor / whole` in units of 1/`of`, rounded towards zero; at most 1000 times the whole.
fn ratio(part_minor: i64, whole: Money, of: i64) -> i64 {
    let exact = i128::from(part_minor) * i128::from(of) / i128::from(whole.minor);
    exact.min(i128::from(of) * 1_000) as i64
}
