//! The rates of a pair over time: which one was in force at a moment.

use millstream_udf::prelude::*;

/// Rates kept, at most: those that no watermark has passed, and the one before them.
pub const RATES_MAX: usize = 4_096;

/// What one unit of the base currency costs in the quote currency, in units of 10^-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// In force from here on.
    pub ts: i64,
    /// At which the bank buys the base currency.
    pub bid: i64,
    /// At which it sells it.
    pub ask: i64,
}

/// The rates of a pair in the order of time, one per moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates(Vec<Rate>);

impl Rates {
    /// Takes a rate in; it replaces one of the same moment.
    pub fn add(&mut self, rate: Rate, watermark: i64) -> Result<()> {
        self.forget(watermark);
        match self.0.binary_search_by_key(&rate.ts, |rate| rate.ts) {
            Ok(place) => self.0[place] = rate,
            Err(place) => {
                ensure!(
                    self.0.len() < RATES_MAX,
                    "more than {RATES_MAX} rates wait for the watermark"
                );
                self.0.insert(place, rate);
            }
        }
        Ok(())
    }

    /// The rate that was in force at a moment.
    pub fn at(&self, ts: i64) -> Option<&Rate> {
        let behind = self.0.partition_point(|rate| rate.ts <= ts);
        self.0[..behind].last()
    }

    /// Whether no rate is known at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets rates that another one had replaced when the watermark passed.
    pub fn forget(&mut self, watermark: i64) {
        let passed = self.0.partition_point(|rate| rate.ts <= watermark);
        self.0.drain(..passed.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(ts: i64, bid: i64) -> Rate {
        Rate { ts, bid, ask: bid + 1 }
    }

    #[test]
    fn the_rate_in_force() {
        let mut rates = Rates::default();
        for (ts, bid) in [(20, 2), (10, 1), (20, 3)] {
            rates.add(rate(ts, bid), i64::MIN).unwrap();
        }
        let at = |rates: &Rates, ts| rates.at(ts).map(|rate| rate.bid);
        assert_eq!([9, 10, 19, 20].map(|ts| at(&rates, ts)), [None, Some(1), Some(1), Some(3)]);
        rates.forget(19);
        assert_eq!(at(&rates, 10), Some(1));
        rates.forget(20);
        assert_eq!([10, 20].map(|ts| at(&rates, ts)), [None, Some(3)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Forgetting changes nothing for moments behind the watermark, and order of arrival nothing at all.
        #[test]
        fn equals_a_search(times in prop::collection::vec(0..100_i64, 1..50), watermark in 0..100_i64, ts in 0..100_i64) {
            let mut rates = Rates::default();
            for ts in &times {
                rates.add(rate(*ts, *ts), i64::MIN).expect("there is room");
            }
            let expected = times.iter().copied().filter(|time| *time <= ts).max();
            prop_assert_eq!(rates.at(ts).map(|rate| rate.bid), expected);
            rates.forget(watermark);
            if ts >= watermark {
                prop_assert_eq!(rates.at(ts).map(|rate| rate.bid), expected);
            }
        }
    }
}
