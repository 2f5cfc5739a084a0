//! The chain-ladder method with Mack's standard error: T. Mack, "Distribution-free Calculation of the Standard Error of
//! Chain Ladder Reserve Estimates", ASTIN Bulletin 23/2 (1993).
//!
//! Money is in integers: development factors stay fractions, and ultimates carry six digits below the minor unit. The
//! standard error is a statistic, computed in doubles with the four operations and square roots, which IEEE 754
//! fixes to the bit.

use std::collections::BTreeMap;

use finance::{Rounding, divide};
use millstream_udf::prelude::*;

/// Periods of a triangle, at most.
pub const PERIODS_MAX: i32 = 60;
/// Units of ultimates within a minor unit.
const FINE: i128 = 1_000_000;

/// What was paid, by period of origin and development period. Not cumulative.
pub type Payments = BTreeMap<(i32, u32), i128>;

/// The estimate of a line of business.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Development factors as numerator and denominator.
    pub factors: Vec<(i128, i128)>,
    pub rows: Vec<Row>,
    /// Mack's standard error of all reserves; none with fewer than three periods.
    pub standard_error: Option<i64>,
}

/// The estimate of a period of origin, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub origin: i32,
    pub paid: i64,
    pub ultimate: i64,
    pub standard_error: Option<i64>,
}

impl Row {
    /// What is still to be paid.
    pub fn reserve(&self) -> i64 {
        self.ultimate - self.paid
    }
}

/// Cumulative payments by origin and development, up to and with the period of valuation.
struct Triangle {
    first: i32,
    rows: Vec<Vec<i128>>,
}

impl Triangle {
    fn new(payments: &Payments, valued_in: i32) -> Result<Self> {
        let known = |&(origin, development): &(i32, u32)| {
            i64::from(origin) + i64::from(development) <= valued_in.into()
        };
        let Some(first) = payments.keys().find(|key| known(key)).map(|key| key.0) else {
            bail!("nothing was paid up to the period of valuation");
        };
        let periods = valued_in - first + 1;
        ensure!(
            (2..=PERIODS_MAX).contains(&periods),
            "the triangle has {periods} periods; it must have 2 to {PERIODS_MAX}"
        );
        let row = |origin: i32| {
            let mut cumulative = 0;
            (0..=(valued_in - origin) as u32)
                .map(|development| {
                    cumulative += payments.get(&(origin, development)).copied().unwrap_or(0);
                    cumulative
                })
                .collect()
        };
        Ok(Self { first, rows: (first..=valued_in).map(row).collect() })
    }

    /// Sums over the rows that reach development `k + 1`: at that, and at `k`.
    fn sums(&self, k: usize) -> (i128, i128) {
        let reaching = self.rows.iter().filter(|row| row.len() > k + 1);
        reaching.fold((0, 0), |(behind, at), row| (behind + row[k + 1], at + row[k]))
    }
}

/// The reserves as of the end of a period, from payments up to then.
pub fn estimate(payments: &Payments, valued_in: i32) -> Result<Estimate> {
    let triangle = Triangle::new(payments, valued_in)?;
    let mut factors = Vec::new();
    for k in 0..triangle.rows.len() - 1 {
        let (behind, at) = triangle.sums(k);
        ensure!(
            at > 0 && behind > 0,
            "payments up to development {k} add up to {at}, those up to the next to {behind}; they must be above 0"
        );
        factors.push((behind, at));
    }
    let mut ultimates = Vec::new();
    for row in &triangle.rows {
        let paid = row[row.len() - 1];
        let mut fine = paid.checked_mul(FINE);
        for (numerator, denominator) in &factors[row.len() - 1..] {
            let product = fine.and_then(|fine| fine.checked_mul(*numerator));
            fine = product.map(|product| divide(product, *denominator, Rounding::HalfEven));
        }
        let ultimate = fine.map(|fine| divide(fine, FINE, Rounding::HalfEven));
        ultimates.push((small(Some(paid))?, small(ultimate)?));
    }
    let errors = (triangle.rows.len() >= 3).then(|| mack(&triangle, &factors));
    let rows = ultimates.into_iter().enumerate().map(|(i, (paid, ultimate))| Row {
        origin: triangle.first + i as i32,
        paid,
        ultimate,
        standard_error: errors.as_ref().map(|(rows, _)| rounded(rows[i])),
    });
    let rows = rows.collect();
    Ok(Estimate { rows, standard_error: errors.map(|(_, all)| rounded(all)), factors })
}

fn small(amount: Option<i128>) -> Result<i64> {
    match amount.and_then(|amount| i64::try_from(amount).ok()) {
        Some(amount) if amount.unsigned_abs() < 1 << 62 => Ok(amount),
        _ => bail!("an amount of the triangle is outside the range of 62 bits"),
    }
}

/// To the nearest minor unit. What is beyond 64 bits, or no number, shows as the largest or 0.
fn rounded(error: f64) -> i64 {
    error.round() as i64
}

/// Mack's standard errors of the rows' reserves, and of all.
fn mack(triangle: &Triangle, factors: &[(i128, i128)]) -> (Vec<f64>, f64) {
    let n = triangle.rows.len();
    let f: Vec<f64> = factors.iter().map(|(a, b)| *a as f64 / *b as f64).collect();
    let variances = variances(triangle, &f);
    let sums: Vec<f64> = factors.iter().map(|(_, at)| *at as f64).collect();
    // The full rows: what is known, then what is expected.
    let full: Vec<Vec<f64>> = triangle
        .rows
        .iter()
        .map(|row| {
            let mut full: Vec<f64> = row.iter().map(|paid| *paid as f64).collect();
            for k in full.len() - 1..n - 1 {
                full.push(full[k] * f[k]);
            }
            full
        })
        .collect();
    let open = |i: usize| n - 1 - i..n - 1;
    let square = |i: usize| {
        let terms =
            open(i).map(|k| variances[k] / (f[k] * f[k]) * (1.0 / full[i][k] + 1.0 / sums[k]));
        full[i][n - 1] * full[i][n - 1] * terms.sum::<f64>()
    };
    let rows: Vec<f64> = (0..n).map(square).collect();
    let all: f64 = (1..n)
        .map(|i| {
            let later: f64 = (i + 1..n).map(|j| full[j][n - 1]).sum();
            let terms = open(i).map(|k| 2.0 * variances[k] / (f[k] * f[k]) / sums[k]);
            rows[i] + full[i][n - 1] * later * terms.sum::<f64>()
        })
        .sum();
    (rows.into_iter().map(f64::sqrt).collect(), all.sqrt())
}

/// Mack's variance parameters per development period. The last one, for which there is one factor only, is extrapolated
/// as Mack does.
fn variances(triangle: &Triangle, f: &[f64]) -> Vec<f64> {
    let n = triangle.rows.len();
    let mut variances: Vec<f64> = (0..n - 2)
        .map(|k| {
            let rows = triangle.rows.iter().filter(|row| row.len() > k + 1 && row[k] != 0);
            let squares = rows.map(|row| {
                let (at, behind) = (row[k] as f64, row[k + 1] as f64);
                let deviation = behind / at - f[k];
                at * deviation * deviation
            });
            squares.sum::<f64>() / (n - k - 2) as f64
        })
        .collect();
    let last = match variances[..] {
        [.., before, last] if before > 0.0 => (last * last / before).min(before.min(last)),
        _ => variances.last().copied().unwrap_or(0.0),
    };
    variances.push(last);
    variances
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Payments of a triangle with this first origin.
    fn payments(first: i32, rows: &[&[i128]]) -> Payments {
        let cells = rows.iter().enumerate().flat_map(|(i, row)| {
            row.iter().enumerate().map(move |(k, paid)| ((first + i as i32, k as u32), *paid))
        });
        cells.collect()
    }

    /// The triangle of Taylor and Ashe (1983), on which Mack (1993) reports reserves and standard errors.
    pub const TAYLOR_ASHE: [&[i128]; 10] = [
        &[357848, 766940, 610542, 482940, 527326, 574398, 146342, 139950, 227229, 67948],
        &[352118, 884021, 933894, 1183289, 445745, 320996, 527804, 266172, 425046],
        &[290507, 1001799, 926219, 1016654, 750816, 146923, 495992, 280405],
        &[310608, 1108250, 776189, 1562400, 272482, 352053, 206286],
        &[443160, 693190, 991983, 769488, 504851, 470639],
        &[396132, 937085, 847498, 805037, 705960],
        &[440832, 847631, 1131398, 1063269],
        &[359480, 1061648, 1443370],
        &[376686, 986608],
        &[344014],
    ];

    #[test]
    fn taylor_and_ashe_as_in_mack_1993() {
        let estimate = estimate(&payments(1, &TAYLOR_ASHE), 10).expect("a triangle");
        let reserves: Vec<i64> = estimate.rows.iter().map(Row::reserve).collect();
        let published = [
            0, 94_634, 469_511, 709_638, 984_889, 1_419_459, 2_177_641, 3_920_301, 4_278_972,
            4_625_811,
        ];
        assert_eq!(reserves, published);
        assert_eq!(reserves.iter().sum::<i64>(), 18_680_856);
        let errors: Vec<i64> = estimate.rows.iter().filter_map(|row| row.standard_error).collect();
        let published =
            [0, 75_535, 121_699, 133_549, 261_406, 411_010, 558_317, 875_328, 971_258, 1_363_155];
        assert_eq!(errors, published);
        assert_eq!(estimate.standard_error, Some(2_447_095));
        let factor = |(a, b): &(i128, i128)| divide(a * 10_000, *b, Rounding::HalfEven);
        let published = [34_906, 17_473, 14_574, 11_739, 11_038, 10_863, 10_539, 10_766, 10_177];
        assert_eq!(estimate.factors.iter().map(factor).collect::<Vec<_>>(), published);
    }

    /// The triangle of the Reinsurance Association of America's Historical Loss Development Study (1991), general
    /// liability; reserves as in T. Mack, "Which Stochastic Model is Underlying the Chain Ladder Method?" (1994).
    #[test]
    fn the_raa_triangle_as_in_mack_1994() {
        let cumulative: [&[i128]; 10] = [
            &[5012, 8269, 10907, 11805, 13539, 16181, 18009, 18608, 18662, 18834],
            &[106, 4285, 5396, 10666, 13782, 15599, 15496, 16169, 16704],
            &[3410, 8992, 13873, 16141, 18735, 22214, 22863, 23466],
            &[5655, 11555, 15766, 21266, 23425, 26083, 27067],
            &[1092, 9565, 15836, 22169, 25955, 26180],
            &[1513, 6445, 11702, 12935, 15852],
            &[557, 4020, 10946, 12314],
            &[1351, 6947, 13112],
            &[3133, 5395],
            &[2063],
        ];
        let steps: Vec<Vec<i128>> = cumulative
            .iter()
            .map(|row| {
                row.iter()
                    .scan(0, |before, now| Some(now - std::mem::replace(before, *now)))
                    .collect()
            })
            .collect();
        let rows: Vec<&[i128]> = steps.iter().map(Vec::as_slice).collect();
        let estimate = estimate(&payments(1981, &rows), 1990).expect("a triangle");
        let reserves: Vec<i64> = estimate.rows.iter().map(Row::reserve).collect();
        assert_eq!(reserves, [0, 154, 617, 1636, 2747, 3649, 5435, 10907, 10650, 16339]);
    }

    #[test]
    fn what_gives_no_estimate() {
        let refused = |rows: &[&[i128]], valued_in| {
            estimate(&payments(0, rows), valued_in).err().map(|error| error.message().to_owned())
        };
        assert_eq!(
            refused(&[], 3).as_deref(),
            Some("nothing was paid up to the period of valuation")
        );
        assert_eq!(
            refused(&[&[1]], 0).as_deref(),
            Some("the triangle has 1 periods; it must have 2 to 60")
        );
        let zero = "payments up to development 0 add up to 0, those up to the next to 5; they must be above 0";
        assert_eq!(refused(&[&[0, 5], &[1]], 1).as_deref(), Some(zero));
        let large = i128::from(i64::MAX);
        let out_of_range = "an amount of the triangle is outside the range of 62 bits";
        assert_eq!(refused(&[&[1, large], &[large]], 1).as_deref(), Some(out_of_range));
        assert_eq!(refused(&[&[10, 5], &[10]], 1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        /// Money scales; what is paid up and later periods are not touched; payments that grow nothing reserve nothing.
        #[test]
        fn reserves_are_in_proportion(cells in prop::collection::vec(1..1_000_000_i128, 55), scale in 1..1_000_i128) {
            let triangle = |scale: i128| {
                let mut cells = cells.iter().map(|cell| cell * scale);
                let mut payments = Payments::new();
                for (origin, development) in (0..10).flat_map(|i| (0..10 - i).map(move |k| (i, k as u32))) {
                    payments.insert((origin, development), cells.next().expect("55 cells"));
                }
                payments
            };
            let (small, mut large) = (triangle(1), triangle(scale));
            large.insert((9, 1), 77);
            let (one, many) = (estimate(&small, 9).expect("a triangle"), estimate(&large, 9).expect("a triangle"));
            for (one, many) in one.rows.iter().zip(&many.rows) {
                let off = i128::from(many.ultimate) - i128::from(one.ultimate) * scale;
                prop_assert!(off.abs() <= scale / 2 + 1, "{off}");
                prop_assert!(one.reserve() >= 0);
            }
            prop_assert_eq!(one.rows[0].reserve(), 0);
            let first_only: Payments = small.iter().filter(|((_, k), _)| *k == 0).map(|(key, paid)| (*key, *paid)).collect();
            let flat = estimate(&first_only, 9).expect("a triangle");
            prop_assert!(flat.rows.iter().all(|row| row.reserve() == 0 && row.standard_error == Some(0)));
        }
    }
}
