//! Recency, frequency and monetary value: how long ago, how often and how much a customer has bought (A. M. Hughes, "Strategic
//! Database Marketing", 1994), and the same in the notation of Fader, Hardie and Lee (2005).

use millstream_udf::prelude::*;

use crate::config::{DAY_MS, Rfm};

/// A customer's purchases. The order in which they come does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchases {
    pub count: i64,
    /// Minor units.
    pub total: i64,
    pub first_ms: i64,
    pub last_ms: i64,
    /// Sum of the purchases at the first moment, which are no repetitions.
    first_total: i64,
    first_count: i64,
}

/// Scores from 1 to 5, the segment they make, and what they rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub recency: i64,
    pub frequency: i64,
    pub monetary: i64,
    pub segment: String,
    pub days_since_last: i64,
}

/// The summary that models of repeat buying start from: repetitions `x`, days from the first to the last `t_x`, days from
/// the first until now `T`, and the mean value of repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RepeatBuying {
    pub x: i64,
    pub t_x_days: i64,
    #[serde(rename = "T_days")]
    pub observed_days: i64,
    /// Minor units, rounded half up; none without repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_minor: Option<i64>,
}

impl Purchases {
    /// Takes a purchase in.
    pub fn add(&mut self, ts: i64, amount: i64) -> Result<()> {
        let Some(total) = self.total.checked_add(amount) else {
            bail!("a customer's purchases leave the range of 64 bits");
        };
        if self.count == 0 || ts < self.first_ms {
            (self.first_ms, self.first_total, self.first_count) = (ts, 0, 0);
        }
        if ts == self.first_ms {
            self.first_total += amount;
            self.first_count += 1;
        }
        self.last_ms = if self.count == 0 { ts } else { self.last_ms.max(ts) };
        self.count += 1;
        self.total = total;
        Ok(())
    }

    /// Where the customer stands at a time; none without a purchase.
    pub fn standing(&self, now_ms: i64, config: &Rfm) -> Option<Standing> {
        if self.count == 0 {
            return None;
        }
        let days_since_last = now_ms.saturating_sub(self.last_ms).max(0) / DAY_MS;
        let passed =
            |reached: [bool; 4]| 1 + reached.into_iter().filter(|reached| *reached).count() as i64;
        let recency = passed(config.recency_days.map(|most| days_since_last <= most));
        let frequency = passed(config.frequency.map(|least| self.count >= least));
        let monetary = passed(config.monetary_minor.map(|least| self.total >= least));
        let inside = |(least, most): (i64, i64), score: i64| (least..=most).contains(&score);
        let segment = config.segments.iter().find(|segment| {
            inside(segment.recency, recency)
                && inside(segment.frequency, frequency)
                && inside(segment.monetary, monetary)
        });
        let segment = segment.map_or("other", |segment| &segment.name).to_owned();
        Some(Standing { recency, frequency, monetary, segment, days_since_last })
    }

    /// When the recency score falls the next time, after a time.
    pub fn next_fall(&self, now_ms: i64, config: &Rfm) -> Option<i64> {
        let falls =
            config.recency_days.map(|most| self.last_ms.saturating_add((most + 1) * DAY_MS));
        falls.into_iter().find(|fall| *fall > now_ms)
    }

    /// The summary of repeat buying at a time; none without a purchase.
    pub fn repeat_buying(&self, now_ms: i64) -> Option<RepeatBuying> {
        let x = self.count - self.first_count;
        (self.count > 0).then(|| RepeatBuying {
            x,
            t_x_days: self.last_ms.saturating_sub(self.first_ms) / DAY_MS,
            observed_days: now_ms.max(self.last_ms).saturating_sub(self.first_ms) / DAY_MS,
            mean_minor: (x > 0).then(|| {
                let repeated = i128::from(self.total) - i128::from(self.first_total);
                finance::divide(repeated, x.into(), finance::Rounding::HalfUp) as i64
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finance::calendar::{parse_date, start_ms};
    use proptest::prelude::*;

    fn ms(date: &str) -> i64 {
        start_ms(parse_date(date).expect("a date"))
    }

    /// Customer 0001 of the CDNOW data (Fader and Hardie 2001), from which "Counting Your Customers the Easy Way" (Fader,
    /// Hardie and Lee 2005) takes x = 2, t_x = 30.43 and T = 38.86 weeks as of 30 September 1997, and "RFM and CLV" (2005) a mean
    /// repeat transaction of $22.35.
    #[test]
    fn the_first_customer_of_cdnow() {
        let mut purchases = Purchases::default();
        for (date, cents) in [("1997-01-18", 2973), ("1997-08-02", 1496), ("1997-01-01", 2933)] {
            purchases.add(ms(date), cents).unwrap();
        }
        let summary = purchases.repeat_buying(ms("1997-09-30")).expect("purchases");
        let days = |weeks_and_hundredths: i64| (weeks_and_hundredths * 7 + 50) / 100;
        assert_eq!((summary.t_x_days, summary.observed_days), (days(3_043), days(3_886)));
        assert_eq!((summary.x, summary.mean_minor), (2, Some(2235)));
    }

    #[test]
    fn scores_have_their_breakpoints_and_segments_their_order() {
        let config = Rfm::default();
        let mut purchases = Purchases::default();
        assert_eq!(purchases.standing(0, &config), None);
        (0..10).for_each(|i| purchases.add(i, 5_000).unwrap());
        let scores = |days: i64| {
            let standing = purchases.standing(9 + days * DAY_MS, &config).expect("purchases");
            (standing.recency, standing.frequency, standing.monetary, standing.segment)
        };
        assert_eq!(scores(7), (5, 4, 4, "champion".into()));
        assert_eq!(scores(8), (4, 4, 4, "champion".into()));
        assert_eq!(scores(31), (3, 4, 4, "loyal".into()));
        assert_eq!(scores(91), (2, 4, 4, "at_risk".into()));
        assert_eq!(scores(181), (1, 4, 4, "at_risk".into()));
        let next =
            |days: i64| purchases.next_fall(9 + days * DAY_MS, &config).map(|at| at / DAY_MS);
        assert_eq!([0, 7, 8, 180, 181].map(next), [Some(8), Some(8), Some(31), Some(181), None]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Scores stay within 1 to 5, fall with time alone and rise with a purchase; the order of arrival does not matter.
        #[test]
        fn scores_stay_in_bounds(
            bought in prop::collection::vec((0..1_000_i64, 1..100_000_i64), 1..40), shift in 0..40_usize, days in 0..1_000_i64,
        ) {
            let config = Rfm::default();
            let of = |bought: &[(i64, i64)]| {
                let mut purchases = Purchases::default();
                bought.iter().for_each(|(day, amount)| purchases.add(day * DAY_MS, *amount).expect("it fits"));
                purchases
            };
            let purchases = of(&bought);
            let mut shifted = bought.clone();
            shifted.rotate_left(shift % bought.len());
            prop_assert_eq!(of(&shifted), purchases);
            let standing = |now| purchases.standing(now, &config).expect("purchases");
            let (now, later) = (standing(purchases.last_ms), standing(purchases.last_ms + days * DAY_MS));
            for score in [now.recency, now.frequency, now.monetary, later.recency] {
                prop_assert!((1..=5).contains(&score));
            }
            prop_assert!(later.recency <= now.recency);
            let mut more = purchases;
            more.add(purchases.last_ms + 1, 5).expect("it fits");
            let more = more.standing(purchases.last_ms + 1, &config).expect("purchases");
            prop_assert!(more.frequency >= now.frequency && more.monetary >= now.monetary && more.recency >= later.recency);
        }
    }
}
