//! Exact decimal numbers for money.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

/// An exact count of units of 10^-`SCALE`: `Decimal<2>` holds cents. Operators panic on
/// overflow, as integers do in a debug build; [`Decimal::checked_add`] and its like do not.
///
/// Serde sees the units, so in a state it is a plain integer. As a field of a record it is a JSON
/// number or a string that holds one; as a field of an output a number with `SCALE` digits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Decimal<const SCALE: u8>(i64);

impl<const SCALE: u8> Decimal<SCALE> {
    /// The scale, checked to be within the contract's limit.
    pub(crate) const SCALE: u8 = {
        assert!(SCALE <= 18, "a decimal has at most 18 digits behind the point");
        SCALE
    };

    /// Zero.
    pub const ZERO: Self = Self(0);

    /// The number of units of 10^-`SCALE`.
    #[inline]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Units of 10^-`SCALE`: cents, for money with two digits.
    #[inline]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// The sum, unless it is outside 64 bits.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, unless it is outside 64 bits.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// `self * numerator / denominator`, rounded towards zero, computed in 128 bits; `None` when
    /// the result is outside 64 bits or `denominator` is 0.
    pub const fn mul_ratio(self, numerator: i64, denominator: i64) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let exact = self.0 as i128 * numerator as i128 / denominator as i128;
        if exact < i64::MIN as i128 || exact > i64::MAX as i128 {
            return None;
        }
        Some(Self(exact as i64))
    }
}

/// Units of 10^-`scale` as a number with `scale` digits behind the point.
pub(crate) fn digits(units: i64, scale: u8) -> String {
    let base = 10_u128.pow(scale.into());
    let magnitude = u128::from(units.unsigned_abs());
    let sign = if units < 0 { "-" } else { "" };
    match scale {
        0 => format!("{sign}{magnitude}"),
        _ => {
            format!("{sign}{}.{:0width$}", magnitude / base, magnitude % base, width = scale.into())
        }
    }
}

#[cold]
#[inline(never)]
fn overflow() -> ! {
    panic!("a decimal left the range of 64 bits")
}

impl<const SCALE: u8> Add for Decimal<SCALE> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or_else(|| overflow())
    }
}

impl<const SCALE: u8> Sub for Decimal<SCALE> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.checked_sub(other).unwrap_or_else(|| overflow())
    }
}

impl<const SCALE: u8> Neg for Decimal<SCALE> {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl<const SCALE: u8> AddAssign for Decimal<SCALE> {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const SCALE: u8> SubAssign for Decimal<SCALE> {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const SCALE: u8> fmt::Display for Decimal<SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digits(self.0, SCALE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_all_digits_and_the_sign() {
        assert_eq!(Decimal::<2>::from_units(-5).to_string(), "-0.05");
        assert_eq!(Decimal::<2>::from_units(123_400).to_string(), "1234.00");
        assert_eq!(Decimal::<0>::from_units(i64::MIN).to_string(), "-9223372036854775808");
        assert_eq!(Decimal::<18>::from_units(1).to_string(), "0.000000000000000001");
    }

    #[test]
    fn ratios_are_exact_in_128_bits() {
        let all = Decimal::<2>::from_units(i64::MAX);
        assert_eq!(all.mul_ratio(3, 3), Some(all));
        assert_eq!(all.mul_ratio(2, 1), None);
        assert_eq!(all.mul_ratio(1, 0), None);
        assert_eq!(Decimal::<2>::from_units(-7).mul_ratio(1, 2), Some(Decimal::from_units(-3)));
    }

    #[test]
    #[should_panic(expected = "64 bits")]
    fn overflow_panics() {
        let _ = Decimal::<2>::from_units(i64::MAX) + Decimal::from_units(1);
    }
}
