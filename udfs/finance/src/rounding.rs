//! Rounding of exact quotients, under the names of IEEE 754 and of the decimal standards.

use serde::{Deserialize, Serialize};

/// What becomes of a quotient between two integers. In a configuration the names are written `half-even` and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest, a half to the even neighbour: banker's rounding, without bias over many amounts.
    #[default]
    HalfEven,
    /// To the nearest, a half away from zero: commercial rounding, and that of Regulation (EC) No 1103/97.
    HalfUp,
    /// To the nearest, a half towards zero.
    HalfDown,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
    /// Towards minus infinity.
    Floor,
    /// Towards plus infinity.
    Ceiling,
}

/// `numerator / denominator`, rounded once. Panics if `denominator` is 0, and for `i128::MIN / -1`.
pub const fn divide(numerator: i128, denominator: i128, rounding: Rounding) -> i128 {
    // A division of 128 bits costs hundreds of instructions in the sandbox, one of 64 bits costs one.
    let (quotient, remainder) = match (narrow(numerator), narrow(denominator)) {
        (Some(n), Some(d)) if d != -1 => ((n / d) as i128, (n % d) as i128),
        _ => {
            let quotient = numerator / denominator;
            (quotient, numerator - quotient * denominator)
        }
    };
    if remainder == 0 {
        return quotient;
    }
    let negative = (numerator < 0) != (denominator < 0);
    // Twice the remainder might not fit; what is left of the denominator does.
    let remainder = remainder.unsigned_abs();
    let rest = denominator.unsigned_abs() - remainder;
    let away = match rounding {
        Rounding::HalfEven => remainder > rest || (remainder == rest && quotient % 2 != 0),
        Rounding::HalfUp => remainder >= rest,
        Rounding::HalfDown => remainder > rest,
        Rounding::Down => false,
        Rounding::Up => true,
        Rounding::Floor => negative,
        Rounding::Ceiling => !negative,
    };
    match (away, negative) {
        (false, _) => quotient,
        (true, false) => quotient + 1,
        (true, true) => quotient - 1,
    }
}

/// The same number in 64 bits, if it fits.
const fn narrow(value: i128) -> Option<i64> {
    if value as i64 as i128 == value { Some(value as i64) } else { None }
}

/// `a * b / c`, exact up to one rounding; `None` if `c` is 0, or if the product leaves 128 bits or the result 64.
pub const fn mul_div(a: i128, b: i128, c: i128, rounding: Rounding) -> Option<i64> {
    if c == 0 {
        return None;
    }
    let product = match (narrow(a), narrow(b)) {
        (Some(a), Some(b)) => a as i128 * b as i128,
        _ => match a.checked_mul(b) {
            Some(product) => product,
            None => return None,
        },
    };
    if product == i128::MIN {
        return None;
    }
    narrow(divide(product, c, rounding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Rounding; 7] = [
        Rounding::HalfEven,
        Rounding::HalfUp,
        Rounding::HalfDown,
        Rounding::Down,
        Rounding::Up,
        Rounding::Floor,
        Rounding::Ceiling,
    ];

    /// The table of the Java platform's `RoundingMode`, which has one row per number.
    #[test]
    fn the_modes_round_as_their_names_say() {
        let rows: [(i128, [i128; 7]); 10] = [
            (55, [6, 6, 5, 5, 6, 5, 6]),
            (25, [2, 3, 2, 2, 3, 2, 3]),
            (16, [2, 2, 2, 1, 2, 1, 2]),
            (11, [1, 1, 1, 1, 2, 1, 2]),
            (10, [1, 1, 1, 1, 1, 1, 1]),
            (-10, [-1, -1, -1, -1, -1, -1, -1]),
            (-11, [-1, -1, -1, -1, -2, -2, -1]),
            (-16, [-2, -2, -2, -1, -2, -2, -1]),
            (-25, [-2, -3, -2, -2, -3, -3, -2]),
            (-55, [-6, -6, -5, -5, -6, -6, -5]),
        ];
        for (tenths, rounded) in rows {
            assert_eq!(ALL.map(|mode| divide(tenths, 10, mode)), rounded, "{tenths} tenths");
            assert_eq!(ALL.map(|mode| divide(-tenths, -10, mode)), rounded, "{tenths} tenths");
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(mul_div(1, 1, 0, Rounding::Down), None);
        assert_eq!(mul_div(i128::MAX, 2, 1, Rounding::Down), None);
        assert_eq!(mul_div(i128::from(i64::MAX), 2, 1, Rounding::Down), None);
        assert_eq!(mul_div(i128::from(i64::MAX), 7, 7, Rounding::Down), Some(i64::MAX));
        assert_eq!(mul_div(i128::MIN, 1, -1, Rounding::Down), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_error_is_below_one_and_for_the_nearest_at_most_a_half(n in any::<i64>(), d in prop_oneof![1..1_000_i64, -1_000..0_i64]) {
            for mode in ALL {
                let error = divide(n.into(), d.into(), mode) * i128::from(d) - i128::from(n);
                prop_assert!(error.unsigned_abs() < d.unsigned_abs().into(), "{mode:?}");
                if matches!(mode, Rounding::HalfEven | Rounding::HalfUp | Rounding::HalfDown) {
                    prop_assert!(2 * error.unsigned_abs() <= d.unsigned_abs().into(), "{mode:?}");
                }
            }
            let between = |mode| divide(n.into(), d.into(), mode);
            prop_assert!(between(Rounding::Floor) <= between(Rounding::Ceiling));
        }
    }
}
