//! Exact decimal numbers: a count of units of 10^-scale, for money.

use std::any::Any;
use std::fmt;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};

/// Digits behind the point, at most.
pub const SCALE_MAX: u8 = 9;

/// Significant digits that every double holds.
const DOUBLE_DIGITS: u8 = 15;

/// A count of units of 10^-`scale`. As a CEL value its type is `decimal`: it can be compared for equality and
/// written, and not be calculated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// The number of units.
    pub units: i64,
    /// Digits behind the point, at most [`SCALE_MAX`].
    pub scale: u8,
}

static DECIMAL: Type = Type::new_unspecified_type("decimal");

/// Why a number has no exact count of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inexact {
    /// Not a decimal number.
    NoNumber(String),
    /// More digits behind the point than the scale.
    Digits(String, u8),
    /// A double so large that its digits are not certain.
    Double(String, u8),
    /// Outside 64 bits.
    Overflow(String, u8),
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNumber(text) => write!(f, "`{text}` is not a decimal number"),
            Self::Digits(text, scale) => {
                write!(f, "{text} has more than {scale} digits behind the point")
            }
            Self::Double(text, scale) => write!(
                f,
                "{text} is too large for a number with {scale} digits behind the point: {DOUBLE_DIGITS} digits are certain; send it as text"
            ),
            Self::Overflow(text, scale) => {
                write!(f, "{text} with {scale} digits behind the point does not fit into 64 bits")
            }
        }
    }
}

impl Exact {
    /// An integer.
    pub fn of_integer(integer: i128, scale: u8) -> Result<Self, Inexact> {
        integer
            .checked_mul(10_i128.pow(scale.into()))
            .and_then(|units| i64::try_from(units).ok())
            .map(|units| Self { units, scale })
            .ok_or_else(|| Inexact::Overflow(integer.to_string(), scale))
    }

    /// A double, as the shortest decimal number that reads back as it. That is the number which stood in the record if
    /// it had at most 15 digits; so doubles of 10^(15 - scale) and more are refused.
    pub fn of_double(double: f64, scale: u8) -> Result<Self, Inexact> {
        if !double.is_finite() {
            return Err(Inexact::NoNumber(double.to_string()));
        }
        if double.abs() >= 10_f64.powi((DOUBLE_DIGITS - scale).into()) {
            return Err(Inexact::Double(double.to_string(), scale));
        }
        Self::of_text(&double.to_string(), scale)
    }

    /// A decimal number as text: an optional sign, digits, and optionally a point and digits.
    pub fn of_text(text: &str, scale: u8) -> Result<Self, Inexact> {
        let no_number = || Inexact::NoNumber(text.chars().take(40).collect());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(no_number()),
            Some((whole, fraction)) => (whole, fraction),
            None => (digits, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(no_number());
        }
        let fraction = fraction.trim_end_matches('0');
        let missing = (usize::from(scale))
            .checked_sub(fraction.len())
            .ok_or_else(|| Inexact::Digits(text.chars().take(40).collect(), scale))?;
        let mut units: i64 = 0;
        for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing))
        {
            let digit = i64::from(digit - b'0');
            units = units
                .checked_mul(10)
                .and_then(|units| units.checked_sub(digit))
                .ok_or_else(|| Inexact::Overflow(text.chars().take(40).collect(), scale))?;
        }
        // Counted downwards, since there is one more negative number than there are positive ones.
        let units = if negative { Some(units) } else { units.checked_neg() };
        units
            .map(|units| Self { units, scale })
            .ok_or_else(|| Inexact::Overflow(text.chars().take(40).collect(), scale))
    }

    /// The same number with another scale.
    pub fn rescaled(self, scale: u8) -> Result<Self, Inexact> {
        Self::of_text(&self.to_string(), scale)
    }
}

/// All digits behind the point: `12.30` with a scale of 2.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = 10_u64.pow(self.scale.into());
        let (magnitude, sign) = (self.units.unsigned_abs(), if self.units < 0 { "-" } else { "" });
        match self.scale {
            0 => write!(f, "{sign}{magnitude}"),
            scale => {
                let width = usize::from(scale);
                write!(f, "{sign}{}.{:0width$}", magnitude / base, magnitude % base)
            }
        }
    }
}

impl Val for Exact {
    fn get_type(&self) -> &Type {
        &DECIMAL
    }

    fn cel_type() -> &'static Type {
        &DECIMAL
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self == other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Exact {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str, scale: u8) -> Result<i64, String> {
        Exact::of_text(text, scale).map(|exact| exact.units).map_err(|error| error.to_string())
    }

    #[test]
    fn text_is_read_exactly() {
        assert_eq!(units("12.3", 2), Ok(1_230));
        assert_eq!(units("-0.05", 2), Ok(-5));
        assert_eq!(units("7", 0), Ok(7));
        assert_eq!(units("12.3000", 2), Ok(1_230));
        assert_eq!(units("-92233720368547758.08", 2), Ok(i64::MIN));
        for (text, message) in [
            ("12.345", "more than 2 digits"),
            ("92233720368547758.08", "64 bits"),
            ("1e3", "not a decimal number"),
            ("", "not a decimal number"),
            ("1.", "not a decimal number"),
            (".5", "not a decimal number"),
            ("+1", "not a decimal number"),
            ("--1", "not a decimal number"),
        ] {
            let refused = units(text, 2).expect_err(text);
            assert!(refused.contains(message), "{text}: {refused}");
        }
    }

    #[test]
    fn doubles_are_exact_or_refused() {
        assert_eq!(Exact::of_double(0.1, 2).map(|e| e.units), Ok(10));
        assert_eq!(Exact::of_double(-1234.56, 2).map(|e| e.units), Ok(-123_456));
        assert!(matches!(Exact::of_double(0.1 + 0.2, 2), Err(Inexact::Digits(..))));
        assert!(matches!(Exact::of_double(1e13, 2), Err(Inexact::Double(..))));
        assert!(matches!(Exact::of_double(f64::NAN, 2), Err(Inexact::NoNumber(..))));
    }

    proptest! {
        /// What stood in a record with up to 15 digits comes out as it went in, through a double.
        #[test]
        fn fifteen_digits_survive_a_double(
            units in -999_999_999_999_999_i64..=999_999_999_999_999,
            scale in 0..=SCALE_MAX,
        ) {
            let exact = Exact { units, scale };
            let double: f64 = exact.to_string().parse().unwrap();
            prop_assert_eq!(Exact::of_double(double, scale), Ok(exact));
        }

        #[test]
        fn text_round_trips(units: i64, scale in 0..=SCALE_MAX) {
            let exact = Exact { units, scale };
            prop_assert_eq!(Exact::of_text(&exact.to_string(), scale), Ok(exact));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,30}", scale in 0..=SCALE_MAX) {
            let _ = Exact::of_text(&text, scale);
        }
    }
}
