//! Exact decimals: text to units of 10^-scale and back, as a number in a configuration, and as a number in JSON.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};

/// Digits behind the point, at most.
pub const SCALE_MAX: u8 = 18;

/// Digits that a double holds for certain: more in a configuration's plain number may not be what was written.
const DOUBLE_DIGITS: usize = 15;

/// Why a text is no exact decimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExactError {
    /// Not digits with at most one point and one sign.
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// It has more digits behind the point than are kept, and they are not zero.
    #[error("`{text}` has more than {scale} digits behind the point")]
    TooPrecise {
        /// What was written.
        text: String,
        /// Digits that are kept.
        scale: u8,
    },
    /// It does not fit 64 bits.
    #[error("`{0}` is outside the range of 64 bits")]
    TooLarge(String),
}

/// The units of 10^-`scale` that a text like `-12.30` holds, exactly. No exponent, no separators of thousands.
pub fn parse(text: &str, scale: u8) -> Result<i64, ExactError> {
    let not_a_number = || ExactError::NotANumber(text.to_owned());
    let too_large = || ExactError::TooLarge(text.to_owned());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let complete = !whole.is_empty() && digits.ends_with(|last: char| last.is_ascii_digit());
    if !complete || !all_digits(whole) || !all_digits(fraction) {
        return Err(not_a_number());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale.into() {
        return Err(ExactError::TooPrecise { text: text.to_owned(), scale });
    }
    let zeros = usize::from(scale) - fraction.len();
    let mut units: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', zeros)) {
        units = units * 10 + i128::from(digit - b'0');
        if units > 1 << 64 {
            return Err(too_large());
        }
    }
    i64::try_from(if negative { -units } else { units }).map_err(|_| too_large())
}

/// Units of 10^-`scale`. Shown, and written to JSON, as a number with exactly `scale` digits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// How many units.
    pub units: i64,
    /// Digits behind the point, up to [`SCALE_MAX`].
    pub scale: u8,
}

impl Exact {
    /// So many units of 10^-`scale`.
    pub const fn new(units: i64, scale: u8) -> Self {
        Self { units, scale }
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = u128::from(self.units.unsigned_abs());
        let sign = if self.units < 0 { "-" } else { "" };
        if self.scale == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let one = 10_u128.pow(self.scale.into());
        let width = self.scale.into();
        write!(f, "{sign}{}.{:0width$}", magnitude / one, magnitude % one)
    }
}

/// For JSON only.
impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = serde_json::value::RawValue::from_string(self.to_string());
        raw.map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A number of a configuration in units of 10^-`SCALE`, read exactly from text (`"0.94"`), an integer, or a plain number of at most
/// 15 digits. [`units`] is the same for a plain `i64` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fixed<const SCALE: u8>(pub i64);

impl<'d, const SCALE: u8> Deserialize<'d> for Fixed<SCALE> {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        units::<SCALE, D>(deserializer).map(Self)
    }
}

/// For `#[serde(deserialize_with = "finance::exact::units::<6, _>")]`: a number of a configuration, in units of
/// 10^-`SCALE`.
pub fn units<'d, const SCALE: u8, D: Deserializer<'d>>(deserializer: D) -> Result<i64, D::Error> {
    struct Number<const SCALE: u8>;

    impl<const SCALE: u8> Visitor<'_> for Number<SCALE> {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a number with at most {SCALE} digits behind the point")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
            parse(text, SCALE).map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
            self.visit_str(&value.to_string())
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
            self.visit_str(&value.to_string())
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
            // The shortest text that gives this double is what was written, if that had few enough digits.
            let text = value.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if digits - usize::from(value.abs() < 1.0) > DOUBLE_DIGITS {
                return Err(E::custom(format_args!(
                    "{text} has more than {DOUBLE_DIGITS} digits: write it as text"
                )));
            }
            self.visit_str(&text)
        }
    }

    deserializer.deserialize_any(Number::<SCALE>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_read_exactly_or_refused() {
        assert_eq!(parse("12.3", 2), Ok(1_230));
        assert_eq!(parse("-0.05", 2), Ok(-5));
        assert_eq!(parse("1.5000", 1), Ok(15));
        assert_eq!(parse("-9223372036854775808", 0), Ok(i64::MIN));
        for bad in ["", "-", ".5", "5.", "1e3", "+1", "1,000", "1.2.3", "--1", " 1"] {
            assert_eq!(parse(bad, 2), Err(ExactError::NotANumber(bad.into())), "{bad}");
        }
        let fine = ExactError::TooPrecise { text: "1.005".into(), scale: 2 };
        assert_eq!(fine.to_string(), "`1.005` has more than 2 digits behind the point");
        assert_eq!(parse("1.005", 2), Err(fine));
        for large in ["9223372036854775808", "99999999999999999999999999999999999999999999"] {
            assert_eq!(parse(large, 0), Err(ExactError::TooLarge(large.into())));
        }
    }

    #[test]
    fn configurations_may_write_numbers_or_text() {
        let read = |json: &str| serde_json::from_str::<Fixed<4>>(json).map(|fixed| fixed.0);
        assert_eq!(read("0.94").ok(), Some(9_400));
        assert_eq!(read("\"0.94\"").ok(), Some(9_400));
        assert_eq!(read("-3").ok(), Some(-30_000));
        assert_eq!(read("1e2").ok(), Some(1_000_000));
        let message =
            |json: &str| read(json).map_err(|error| error.to_string()).expect_err("it is refused");
        assert!(message("0.00001").contains("more than 4 digits behind the point"));
        assert!(message("123456789012345.25").contains("write it as text"));
        assert!(message("true").contains("a number with at most 4 digits"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_shown_is_read_back(units in any::<i64>(), scale in 0..=SCALE_MAX) {
            let exact = Exact::new(units, scale);
            prop_assert_eq!(parse(&exact.to_string(), scale), Ok(units));
            prop_assert_eq!(serde_json::to_string(&exact).expect("JSON"), exact.to_string());
        }
    }
}
