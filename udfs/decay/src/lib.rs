//! Exponential decay in integers: no float, no table from elsewhere, the same bits on every machine.
//! Used by the credit score, where floats have no place, and by the recommender.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

/// Bits of the fraction of a half-life that count. The error is below 2^-24 of the value.
const FRACTION_BITS: u32 = 24;

/// 1 in fixed point with 62 bits behind the point.
const ONE: u128 = 1 << 62;

/// `2^-(1/2)`, `2^-(1/4)`, `2^-(1/8)` and so on, in fixed point, each the root of the one before.
const ROOTS: [u128; FRACTION_BITS as usize] = {
    let mut roots = [0; FRACTION_BITS as usize];
    let mut below = ONE / 2;
    let mut i = 0;
    while i < roots.len() {
        below = (below << 62).isqrt();
        roots[i] = below;
        i += 1;
    }
    roots
};

/// What is left of `value` after `elapsed_ms`: `value * 2^-(elapsed/half_life)`, rounded towards
/// zero. Nothing decays when no time or less has elapsed.
///
/// Panics if `half_life_ms` is not positive.
pub const fn decay(value: i64, elapsed_ms: i64, half_life_ms: i64) -> i64 {
    assert!(half_life_ms > 0, "a half-life is positive");
    if elapsed_ms <= 0 || value == 0 {
        return value;
    }
    let halves = elapsed_ms / half_life_ms;
    if halves > 62 {
        return 0;
    }
    let fraction = ((elapsed_ms % half_life_ms) as u128) << FRACTION_BITS;
    let fraction = fraction / half_life_ms as u128;
    let mut factor = ONE;
    let mut i = 0;
    while i < FRACTION_BITS {
        if fraction >> (FRACTION_BITS - 1 - i) & 1 == 1 {
            factor = (factor * ROOTS[i as usize]) >> 62;
        }
        i += 1;
    }
    let left = ((value.unsigned_abs() as u128 * factor) >> 62 >> halves) as i64;
    if value < 0 { -left } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_lives_halve() {
        assert_eq!(decay(1_000, 10, 10), 500);
        assert_eq!(decay(-1_000, 20, 10), -250);
        assert_eq!(decay(1_000, 0, 10), 1_000);
        assert_eq!(decay(1_000, -5, 10), 1_000);
        assert_eq!(decay(1_000_000, 5, 10), 707_106);
        assert_eq!(decay(i64::MAX, i64::MAX, 1), 0);
        assert_eq!(decay(1_000, i64::MAX, i64::MAX), 500);
    }

    #[test]
    #[should_panic(expected = "positive")]
    fn a_half_life_of_zero_panics() {
        decay(1, 1, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn follows_the_real_curve(value in -1_000_000_000_i64..1_000_000_000, elapsed in 0..100_000_i64, half_life in 1..10_000_i64) {
            let real = value as f64 * (-(elapsed as f64) / half_life as f64).exp2();
            prop_assert!((decay(value, elapsed, half_life) as f64 - real).abs() <= 1.0 + real.abs() / 1e7);
        }

        #[test]
        fn never_grows_with_time(value in 0..i64::MAX, a in 0..1_000_000_i64, b in 0..1_000_000_i64, half_life in 1..100_000_i64) {
            prop_assert!(decay(value, a.max(b), half_life) <= decay(value, a.min(b), half_life));
        }
    }
}
