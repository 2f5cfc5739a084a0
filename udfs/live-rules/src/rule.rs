//! A rule, and what it looks at.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_udf::prelude::*;

use crate::Payment;

/// The longest time over which a rule may count payments.
const WITHIN_MAX: Duration = Duration::from_hours(1);

/// Payments of an account that are remembered, at most.
const RECENT_MAX: usize = 100;

/// What a rule forbids: a payment that meets all its conditions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// This much or more, in cents.
    #[serde(default)]
    min_cents: i64,
    /// To one of these countries; if there are none, to any.
    #[serde(default)]
    countries: Vec<String>,
    /// The account has made this many payments, this one among them,
    #[serde(default)]
    count: usize,
    /// in so many milliseconds up to this one.
    #[serde(default)]
    within_ms: i64,
}

/// When an account has paid, oldest first.
#[derive(Default, Serialize, Deserialize)]
pub struct Recent(VecDeque<i64>);

impl Recent {
    /// A payment of this time, which is not before those added already.
    pub fn add(&mut self, time: i64) {
        let oldest = time.saturating_sub(WITHIN_MAX.as_millis() as i64);
        while self.0.front().is_some_and(|&first| first <= oldest) || self.0.len() >= RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(time);
    }

    /// How many lie behind this time.
    fn since(&self, time: i64) -> usize {
        self.0.iter().rev().take_while(|&&paid| paid > time).count()
    }
}

impl Rule {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        let within_max = WITHIN_MAX.as_millis() as i64;
        ensure!(
            (0..=within_max).contains(&self.within_ms),
            "`within_ms` is {}: it must be 0 to {within_max}",
            self.within_ms
        );
        ensure!(
            self.count <= RECENT_MAX,
            "`count` is {}: at most {RECENT_MAX} payments are remembered",
            self.count
        );
        Ok(())
    }

    /// Whether it forbids a payment of this time, which is the last of `recent`.
    pub fn forbids(&self, payment: &Payment, recent: &Recent, time: i64) -> bool {
        payment.amount.units() >= self.min_cents
            && (self.countries.is_empty() || self.countries.contains(&payment.country))
            && (self.count == 0 || recent.since(time - self.within_ms) >= self.count)
    }
}
