//! Limits with hysteresis: raised above the limit, cleared only at or below a lower mark, so that a measure that
//! wavers about its limit is reported once.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Deserialize;

use crate::currency::Currency;
use crate::exact::{self, Exact, Fixed};
use crate::money::{Money, MoneyError};

/// A limit is cleared at this share of it unless it says otherwise, in percent.
const CLEAR_PERCENT: i128 = 90;

/// A limit in minor units on a measure `M`, an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<M> {
    /// What is limited.
    pub measure: M,
    /// A measure above this is a breach.
    pub limit: i64,
    /// A breach is over once the measure is at or below this.
    pub clear: i64,
}

/// A limit that was breached, or is kept again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing<M> {
    /// The limit.
    pub limit: Limit<M>,
    /// What was measured, in minor units.
    pub value: i64,
    /// Whether the breach begins.
    pub raised: bool,
    /// When the breach began, in milliseconds since 1970 UTC.
    pub since: i64,
}

impl<M> Crossing<M> {
    /// The reason code: `above_limit` or `back_within`.
    pub fn reason(&self) -> &'static str {
        if self.raised { "above_limit" } else { "back_within" }
    }
}

/// The limits that are breached, with the time since when.
pub type Breaches<M> = BTreeMap<M, i64>;

/// Compares what was measured at a time with the limits, and gives what has changed. A measure that is `None` is unknown, and
/// changes nothing; a breach of a limit that is no longer set is forgotten.
pub fn check<M: Copy + Ord>(
    limits: &[Limit<M>],
    measured: impl Fn(M) -> Option<i64>,
    at: i64,
    breaches: &mut Breaches<M>,
) -> Vec<Crossing<M>> {
    breaches.retain(|measure, _| limits.iter().any(|limit| limit.measure == *measure));
    let mut crossings = Vec::new();
    for limit in limits {
        let Some(value) = measured(limit.measure) else { continue };
        let since = breaches.get(&limit.measure).copied();
        match since {
            None if value > limit.limit => {
                breaches.insert(limit.measure, at);
                crossings.push(Crossing { limit: *limit, value, raised: true, since: at });
            }
            Some(since) if value <= limit.clear => {
                breaches.remove(&limit.measure);
                crossings.push(Crossing { limit: *limit, value, raised: false, since });
            }
            _ => {}
        }
    }
    crossings
}

/// A limit as a configuration has it: `{ measure, limit, clear }`, amounts as text or numbers in major units.
/// `clear` is 90 % of `limit` unless given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenLimit<M> {
    measure: M,
    #[serde(deserialize_with = "exact::units::<4, _>")]
    limit: i64,
    clear: Option<Fixed<4>>,
}

/// Why limits make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Nothing could keep it.
    #[error("the limit of `{measure}` is {limit}; it must be above 0")]
    NotPositive {
        /// What is limited.
        measure: String,
        /// The limit.
        limit: Exact,
    },
    /// It would be cleared while it is breached, or never.
    #[error("`clear` of `{measure}` is {clear}; it must be 0 to the limit of {limit}")]
    Clear {
        /// What is limited.
        measure: String,
        /// Where the breach would end.
        clear: Exact,
        /// The limit.
        limit: Exact,
    },
    /// One measure, two limits.
    #[error("`{0}` has two limits")]
    Twice(String),
    /// No amount of the currency.
    #[error(transparent)]
    Amount(#[from] MoneyError),
}

/// The limits in minor units, if they make sense.
pub fn checked<M: Copy + Ord + Display>(
    written: Vec<WrittenLimit<M>>,
    currency: Currency,
) -> Result<Vec<Limit<M>>, LimitError> {
    let mut limits: Vec<Limit<M>> = Vec::new();
    for WrittenLimit { measure, limit, clear } in written {
        let minor = |units| Money::from_units(units, 4, currency).map(|money| money.minor);
        let limit = minor(limit)?;
        if limit <= 0 {
            let limit = currency.exact(limit);
            return Err(LimitError::NotPositive { measure: measure.to_string(), limit });
        }
        let clear = match clear {
            Some(Fixed(units)) => minor(units)?,
            None => (i128::from(limit) * CLEAR_PERCENT / 100) as i64,
        };
        if !(0..=limit).contains(&clear) {
            let (clear, limit) = (currency.exact(clear), currency.exact(limit));
            return Err(LimitError::Clear { measure: measure.to_string(), clear, limit });
        }
        if limits.iter().any(|other| other.measure == measure) {
            return Err(LimitError::Twice(measure.to_string()));
        }
        limits.push(Limit { measure, limit, clear });
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Limit<char>>, LimitError> {
        let written = serde_json::from_str(text).expect("limits are written");
        checked(written, Currency::from_code("EUR").expect("a currency"))
    }

    #[test]
    fn limits_are_read_in_major_units() {
        let limit = |measure, limit, clear| Limit { measure, limit, clear };
        assert_eq!(
            read(
                r#"[{"measure": "a", "limit": "10.05"}, {"measure": "b", "limit": 3, "clear": 0}]"#
            ),
            Ok(vec![limit('a', 1_005, 904), limit('b', 300, 0)])
        );
        for (text, why) in [
            (r#"[{"measure": "a", "limit": 0}]"#, "the limit of `a` is 0.00; it must be above 0"),
            (
                r#"[{"measure": "a", "limit": 1, "clear": "1.01"}]"#,
                "`clear` of `a` is 1.01; it must be 0 to the limit of 1.00",
            ),
            (
                r#"[{"measure": "a", "limit": 1}, {"measure": "a", "limit": 2}]"#,
                "`a` has two limits",
            ),
        ] {
            assert_eq!(read(text).map_err(|error| error.to_string()), Err(why.to_owned()));
        }
    }

    #[test]
    fn what_is_unknown_changes_nothing_and_what_is_no_limit_is_forgotten() {
        let limits = [Limit { measure: 'a', limit: 10, clear: 5 }];
        let mut breaches = Breaches::from([('a', 1), ('b', 1)]);
        assert_eq!(check(&limits, |_| None, 2, &mut breaches), []);
        assert_eq!(breaches, Breaches::from([('a', 1)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The hysteresis against its definition: raised above the limit, cleared at the mark or below, never twice in a row.
        #[test]
        fn breaches_begin_and_end_in_turns(values in prop::collection::vec(0..200_i64, 1..60), limit in 50..150_i64, gap in 0..50_i64) {
            let limits = [Limit { measure: 'a', limit, clear: limit - gap }];
            let mut breaches = Breaches::new();
            let mut open = false;
            for (at, value) in values.iter().enumerate() {
                let crossings = check(&limits, |_| Some(*value), at as i64, &mut breaches);
                let expected = if open { *value <= limit - gap } else { *value > limit };
                prop_assert_eq!(crossings.len(), usize::from(expected));
                open ^= expected;
                prop_assert_eq!(breaches.len(), usize::from(open));
            }
        }
    }
}
