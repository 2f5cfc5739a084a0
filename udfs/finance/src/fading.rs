//! Values that fade: exponential decay in integers (no float, no table from elsewhere, the same bits on every machine), and
//! counters of events that come in any order.

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

/// What time does to faded values when an event comes: they move to the event's time, unless that lies before theirs; then
/// it is the event that has faded since. So the order of arrival matters by rounding only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The newer of both times, as of which the values hold from now on. Milliseconds.
    pub as_of_ms: i64,
    since_ms: i64,
    age_ms: i64,
}

impl Passage {
    /// To an event's time, of values that hold as of a time; as of none before the first event.
    pub const fn to(at_ms: i64, as_of_ms: Option<i64>) -> Self {
        match as_of_ms {
            Some(before) if at_ms < before => {
                Self { as_of_ms: before, since_ms: 0, age_ms: before.saturating_sub(at_ms) }
            }
            Some(before) => {
                Self { as_of_ms: at_ms, since_ms: at_ms.saturating_sub(before), age_ms: 0 }
            }
            None => Self { as_of_ms: at_ms, since_ms: 0, age_ms: 0 },
        }
    }

    /// What is left of a value. Panics if `half_life_ms` is not positive.
    pub const fn left(self, value: i64, half_life_ms: i64) -> i64 {
        decay(value, self.since_ms, half_life_ms)
    }

    /// What the event adds where it would have added `value` in time. Panics if `half_life_ms` is not positive.
    pub const fn added(self, value: i64, half_life_ms: i64) -> i64 {
        decay(value, self.age_ms, half_life_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn late_events_have_faded_and_values_do_not_go_back() {
        let first = Passage::to(-5, None);
        assert_eq!((first.as_of_ms, first.left(0, 10), first.added(8, 10)), (-5, 0, 8));
        let later = Passage::to(10, Some(0));
        assert_eq!((later.as_of_ms, later.left(8, 10), later.added(8, 10)), (10, 4, 8));
        let late = Passage::to(0, Some(20));
        assert_eq!((late.as_of_ms, late.left(8, 10), late.added(8, 10)), (20, 8, 2));
    }

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

        /// A counter of events is the same up to rounding in whatever order they come.
        #[test]
        fn the_order_of_events_matters_by_rounding_only(
            mut events in prop::collection::vec((0..100_000_i64, 1..1_000_000_i64), 1..20), half_life in 100..50_000_i64,
        ) {
            let count = |events: &[(i64, i64)]| {
                events.iter().fold((None, 0), |(as_of, sum), (at, value)| {
                    let passage = Passage::to(*at, as_of);
                    (Some(passage.as_of_ms), passage.left(sum, half_life) + passage.added(*value, half_life))
                })
            };
            let arrived = count(&events);
            events.sort_unstable();
            let (as_of, sum) = count(&events);
            prop_assert_eq!(arrived.0, as_of);
            // Each step rounds by less than one, and by a 2^24th of what is there.
            prop_assert!((arrived.1 - sum).abs() <= 2 * events.len() as i64 + (sum >> 20), "{arrived:?} {sum}");
        }

        #[test]
        fn never_grows_with_time(value in 0..i64::MAX, a in 0..1_000_000_i64, b in 0..1_000_000_i64, half_life in 1..100_000_i64) {
            prop_assert!(decay(value, a.max(b), half_life) <= decay(value, a.min(b), half_life));
        }
    }
}
