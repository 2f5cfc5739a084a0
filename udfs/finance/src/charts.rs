//! Control charts in fixed point: exponentially weighted moving average and tabular cumulative sum, as in the NIST/SEMATECH *e-Handbook of
//! Statistical Methods*, sections 6.3.2.3 and 6.3.2.4. Values are in millionths.

use serde::{Deserialize, Serialize};

use crate::rounding::{Rounding, divide};

/// Units of one: millionths.
pub const ONE: i64 = 1_000_000;

/// Values, means and limits of a chart, at most, in millionths: 10^12 in all.
pub const VALUE_MAX: i64 = 1_000_000_000_000 * ONE;

/// The square root of a number in millionths, rounded down to a millionth; 0 for negative ones.
pub const fn sqrt(value: i64) -> i64 {
    if value <= 0 {
        return 0;
    }
    (value as u128 * ONE as u128).isqrt() as i64
}

/// Which side of a chart signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Above the upper limit.
    High,
    /// Below the lower limit.
    Low,
}

/// How an EWMA chart is drawn, in millionths. `width` times `deviation` may be 10^11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EwmaChart {
    /// Mean of the process in control: the chart's centre line and its first value.
    pub mean: i64,
    /// Standard deviation of the process in control.
    pub deviation: i64,
    /// Weight of the newest value, above 0 and at most [`ONE`].
    pub lambda: i64,
    /// Width of the limits in standard deviations of the average.
    pub width: i64,
}

/// An exponentially weighted moving average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ewma {
    /// The average.
    pub value: i64,
}

impl EwmaChart {
    /// The average before the first value.
    pub const fn start(&self) -> Ewma {
        Ewma { value: self.mean }
    }

    /// Distance of the limits from the mean when many values have come: `width * deviation * sqrt(lambda / (2 - lambda))`.
    pub const fn limit(&self) -> i64 {
        // The root has 15 digits, so that one rounding to millionths is left.
        let share = self.lambda as u128 * 10_u128.pow(30) / (2 * ONE - self.lambda) as u128;
        let exact = self.width as i128 * self.deviation as i128 * share.isqrt() as i128;
        divide(exact, ONE as i128 * 10_i128.pow(15), Rounding::HalfEven) as i64
    }

    /// Takes the next value in; tells on which side the average is out of its limits.
    pub const fn next(&self, ewma: &mut Ewma, value: i64) -> Option<Side> {
        let weighted =
            self.lambda as i128 * value as i128 + (ONE - self.lambda) as i128 * ewma.value as i128;
        ewma.value = divide(weighted, ONE as i128, Rounding::HalfEven) as i64;
        let limit = self.limit();
        if ewma.value > self.mean + limit {
            Some(Side::High)
        } else if ewma.value < self.mean - limit {
            Some(Side::Low)
        } else {
            None
        }
    }
}

/// How a tabular CUSUM chart is drawn, in millionths of what is measured (not in standard deviations).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CusumChart {
    /// Mean of the process in control.
    pub mean: i64,
    /// The allowance: half of the shift that is to be found soon.
    pub allowance: i64,
    /// The decision limit.
    pub limit: i64,
}

/// The two sums of a CUSUM chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cusum {
    /// What has gathered above the mean.
    pub high: i64,
    /// What has gathered below it.
    pub low: i64,
}

impl CusumChart {
    /// Takes the next value in; tells which sum is above the limit, the higher side first.
    pub fn next(&self, cusum: &mut Cusum, value: i64) -> Option<Side> {
        let grown = |sum: i64, by: i64| sum.saturating_add(by).clamp(0, VALUE_MAX);
        cusum.high = grown(cusum.high, value - self.mean - self.allowance);
        cusum.low = grown(cusum.low, self.mean - self.allowance - value);
        match (cusum.high > self.limit, cusum.low > self.limit) {
            (true, _) => Some(Side::High),
            (false, true) => Some(Side::Low),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::{Exact, parse};
    use proptest::prelude::*;

    fn millionths(text: &str) -> i64 {
        parse(text, 6).expect("a number")
    }

    /// A value rounded to so many digits.
    fn shown(value: i64, digits: u8) -> String {
        let unit = 10_i128.pow(6 - u32::from(digits));
        Exact::new(divide(value.into(), unit, Rounding::HalfEven) as i64, digits).to_string()
    }

    /// NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.4, "Example of calculation of parameters for an EWMA control chart".
    #[test]
    fn nist_ewma_example() {
        let (mean, deviation) = (millionths("50"), millionths("2.0539"));
        let chart =
            EwmaChart { mean, deviation, lambda: millionths("0.3"), width: millionths("3") };
        // 50 +/- 3 * 0.4201 * 2.0539 in the handbook.
        assert_eq!(shown(mean + chart.limit(), 3), "52.588");
        assert_eq!(shown(mean - chart.limit(), 3), "47.412");
        let data = "52.0 47.0 53.0 49.3 50.1 47.0 51.0 50.1 51.2 50.5 49.6 47.6 49.9 51.3 47.8 51.2 52.6 52.4 53.6 52.1";
        let expected = "50.60 49.52 50.56 50.18 50.16 49.21 49.75 49.85 50.26 50.33 50.11 49.36 49.52 50.05 49.38 49.92 50.73 51.23 51.94 51.99";
        let mut ewma = chart.start();
        let averages = data.split(' ').map(|value| {
            assert_eq!(chart.next(&mut ewma, millionths(value)), None, "the process is in control");
            shown(ewma.value, 2)
        });
        assert_eq!(averages.collect::<Vec<_>>().join(" "), expected);
    }

    /// The same handbook, section 6.3.2.3, "CUSUM example": the limit 4.1959 is crossed by the 14th group.
    #[test]
    fn nist_cusum_example() {
        let chart = CusumChart {
            mean: millionths("325"),
            allowance: millionths("0.3175"),
            limit: millionths("4.1959"),
        };
        let data = "324.925 324.675 324.725 324.350 325.350 325.225 324.125 324.525 325.225 324.600 324.625 325.150 328.325 327.250 \
                    327.825 328.500 326.675 327.775 326.875 328.350";
        let high = "0.00 0.00 0.00 0.00 0.03 0.00 0.00 0.00 0.00 0.00 0.00 0.00 3.01 4.94 7.45 10.63 11.99 14.44 16.00 19.04";
        let low = "0.00 0.01 0.00 0.33 0.00 0.00 0.56 0.72 0.17 0.26 0.31 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00";
        let mut cusum = Cusum::default();
        let rows: Vec<_> = data
            .split_whitespace()
            .map(|value| {
                let side = chart.next(&mut cusum, millionths(value));
                (shown(cusum.high, 2), shown(cusum.low, 2), side)
            })
            .collect();
        let column = |i: fn(&(String, String, Option<Side>)) -> &String| {
            rows.iter().map(i).cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(column(|row| &row.0), high);
        assert_eq!(column(|row| &row.1), low);
        let first = rows.iter().position(|row| row.2.is_some());
        assert_eq!((first, rows[13].2), (Some(13), Some(Side::High)));
    }

    #[test]
    fn roots_are_rounded_down() {
        assert_eq!(sqrt(millionths("2")), millionths("1.414213"));
        assert_eq!(sqrt(millionths("0.0625")), millionths("0.25"));
        assert_eq!((sqrt(0), sqrt(-1)), (0, 0));
        assert_eq!(sqrt(VALUE_MAX), ONE * 1_000_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_average_stays_between_the_values(values in prop::collection::vec(0..1_000_000_000_i64, 1..50), lambda in 1..=ONE, mean in 0..1_000_000_000_i64) {
            let chart = EwmaChart { mean, deviation: ONE, lambda, width: 3 * ONE };
            let mut ewma = chart.start();
            for value in &values {
                chart.next(&mut ewma, *value);
            }
            let all = values.iter().chain([&mean]);
            prop_assert!(all.clone().min() <= Some(&ewma.value) && Some(&ewma.value) <= all.max());
        }

        #[test]
        fn a_process_at_its_mean_never_signals(mean in 0..1_000_000_000_i64, count in 1..100_usize) {
            let chart = CusumChart { mean, allowance: ONE, limit: ONE };
            let mut cusum = Cusum::default();
            for _ in 0..count {
                prop_assert_eq!(chart.next(&mut cusum, mean), None);
            }
            prop_assert_eq!(cusum, Cusum::default());
        }
    }
}
