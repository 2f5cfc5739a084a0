//! JSON numbers to values, exactly. All texts must be well-formed JSON numbers.

/// Why a number is no value of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Out of the type's range.
    Range,
    /// More digits behind the point than the decimal's scale.
    Digits,
}

/// The digits of a number that were read while it was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    /// All digits without the point, as one number; of use when `exact`.
    value: u64,
    /// Digits behind the point.
    fraction: u8,
    negative: bool,
    /// Whether `value` holds all of them; false for a number with an exponent.
    exact: bool,
}

impl Digits {
    /// Those of no number.
    pub const NONE: Self = Self { value: 0, fraction: 0, negative: false, exact: false };

    /// `count` digits, of which `fraction` behind the point, have been read into `value`.
    #[inline]
    pub fn new(negative: bool, value: u64, count: usize, fraction: usize) -> Self {
        // 19 digits cannot overflow.
        Self { value, fraction: fraction as u8, negative, exact: count <= 19 }
    }
}

/// The value of a number without fraction and exponent.
#[inline]
pub(super) fn integer(text: &[u8], digits: Digits) -> Result<i64, NumberError> {
    if digits.exact && digits.value <= i64::MAX as u64 {
        let value = digits.value as i64;
        return Ok(if digits.negative { -value } else { value });
    }
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(NumberError::Range)
}

/// The nearest double.
#[inline]
pub(super) fn float(text: &[u8], digits: Digits) -> Result<f64, NumberError> {
    // One rounding suffices (Clinger 1990): an integer of at most 53 bits divided by a power of
    // ten that is exact itself. 19 digits have at most 18 behind the point.
    if digits.exact && digits.value <= 1 << 53 {
        let value = digits.value as f64 / POWERS[usize::from(digits.fraction)];
        return Ok(if digits.negative { -value } else { value });
    }
    float_slow(text)
}

#[cold]
fn float_slow(text: &[u8]) -> Result<f64, NumberError> {
    match std::str::from_utf8(text).ok().and_then(|t| t.parse::<f64>().ok()) {
        Some(value) if value.is_finite() => Ok(value),
        _ => Err(NumberError::Range),
    }
}

/// Powers of ten that are doubles without rounding.
const POWERS: [f64; 19] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

/// The value in units of 10^-scale (scale at most 18). Zeros at the end of the fraction do not
/// count as digits: with scale 2, `1.500` is 150.
pub(super) fn decimal(text: &[u8], scale: u8) -> Result<i64, NumberError> {
    let (negative, text) = sign(text);
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|&b| b == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    // value = digits * 10^shift, in units. Zeros that end a run of digits wait in `zeros`
    // until another digit needs them.
    let mut digits = 0u64;
    let mut zeros = 0u32;
    for &b in whole.iter().chain(fraction) {
        if b == b'0' {
            zeros += u32::from(digits != 0);
            continue;
        }
        let ten = 10u64.checked_pow(zeros + 1).ok_or(NumberError::Range)?;
        let next = digits.checked_mul(ten).and_then(|n| n.checked_add(u64::from(b - b'0')));
        digits = next.ok_or(NumberError::Range)?;
        zeros = 0;
    }
    if digits == 0 {
        return Ok(0);
    }
    let shift = i64::from(scale) + exponent - fraction.len() as i64 + i64::from(zeros);
    if shift < 0 {
        return Err(NumberError::Digits);
    }
    let units = u32::try_from(shift)
        .ok()
        .and_then(|shift| 10i128.checked_pow(shift))
        .and_then(|ten| ten.checked_mul(i128::from(digits)))
        .ok_or(NumberError::Range)?;
    i64::try_from(if negative { -units } else { units }).map_err(|_| NumberError::Range)
}

/// An exponent with or without sign; far beyond any that matters it stays the same.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    const FAR: i64 = 1 << 40;
    let value = digits.iter().fold(0, |n: i64, d| (n * 10 + i64::from(d - b'0')).min(FAR));
    if negative { -value } else { value }
}

#[inline]
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals() {
        let d = |text: &str, scale| decimal(text.as_bytes(), scale);
        assert_eq!(d("12.3", 2), Ok(1230));
        assert_eq!(d("-0.05", 2), Ok(-5));
        assert_eq!(d("1.500", 2), Ok(150));
        assert_eq!(d("100", 0), Ok(100));
        assert_eq!(d("1e2", 2), Ok(10_000));
        assert_eq!(d("1.5E-1", 2), Ok(15));
        assert_eq!(d("-0", 3), Ok(0));
        assert_eq!(d("0e999999999999999999999", 3), Ok(0));
        assert_eq!(d("92233720368547758.07", 2), Ok(i64::MAX));
        assert_eq!(d("-92233720368547758.08", 2), Ok(i64::MIN));
        assert_eq!(d("92233720368547758.08", 2), Err(NumberError::Range));
        assert_eq!(d("1.005", 2), Err(NumberError::Digits));
        assert_eq!(d("1e-3", 2), Err(NumberError::Digits));
        assert_eq!(d("1e999999999999", 2), Err(NumberError::Range));
        assert_eq!(d("1e-999999999999999999999999", 2), Err(NumberError::Digits));
        assert_eq!(d(&format!("1.{}", "0".repeat(5000)), 2), Ok(100));
        assert_eq!(d(&format!("1{}", "0".repeat(5000)), 2), Err(NumberError::Range));
    }

    #[test]
    fn integers() {
        let integer = |text: &[u8]| integer(text, scan::number(text).unwrap());
        assert_eq!(integer(b"-0"), Ok(0));
        assert_eq!(integer(b"9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer(b"9223372036854775808"), Err(NumberError::Range));
        assert_eq!(integer("9".repeat(100).as_bytes()), Err(NumberError::Range));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn floats_are_the_nearest(text in "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?") {
            let expected = text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(NumberError::Range);
            let value = float(text.as_bytes(), scan::number(text.as_bytes()).unwrap());
            prop_assert_eq!(value.map(f64::to_bits), expected.map(f64::to_bits));
        }

        #[test]
        fn decimals_agree_with_128_bits(units in any::<i64>(), scale in 0u8..=18, zeros in 0usize..4) {
            let sign = if units < 0 { "-" } else { "" };
            let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale as usize + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
            let text = format!("{sign}{whole}.{fraction}{}", "0".repeat(zeros + 1));
            prop_assert_eq!(decimal(text.as_bytes(), scale), Ok(units));
        }
    }
}
