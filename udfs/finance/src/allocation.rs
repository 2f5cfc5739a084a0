//! Splitting an amount by weights without losing or making a minor unit.

/// Splits `total` by `weights`: each part is the exact share rounded towards zero, and the units that are left over go
/// one by one to the parts that lost most by that (the method of the largest remainder, after Hamilton), the
/// first of equals first. The parts have the sign of `total` and add up to it.
///
/// `None` if there is no weight above 0.
pub fn allocate(total: i64, weights: &[u64]) -> Option<Vec<i64>> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return None;
    }
    let magnitude = u128::from(total.unsigned_abs());
    // Below 2^64 each: the products fit.
    let exact = weights.iter().map(|weight| magnitude * u128::from(*weight));
    let (mut parts, remainders): (Vec<u128>, Vec<u128>) =
        exact.map(|share| (share / sum, share % sum)).unzip();
    let left = (magnitude - parts.iter().sum::<u128>()) as usize;
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(remainders[*i]));
    order[..left].iter().for_each(|i| parts[*i] += 1);
    // No part is above the total, so that each fits.
    let sign = i128::from(total.signum());
    Some(parts.into_iter().map(|part| (part as i128 * sign) as i64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_remainders_get_the_rest() {
        assert_eq!(allocate(100, &[1, 1, 1]), Some(vec![34, 33, 33]));
        assert_eq!(allocate(-5, &[1, 0, 1]), Some(vec![-3, 0, -2]));
        // A common textbook case of seats by votes.
        let votes = [47_000, 16_000, 15_900, 12_000, 6_000, 3_100];
        assert_eq!(allocate(10, &votes), Some(vec![5, 2, 1, 1, 1, 0]));
        assert_eq!(allocate(i64::MIN, &[u64::MAX]), Some(vec![i64::MIN]));
        assert_eq!(allocate(7, &[0, 0]), None);
        assert_eq!(allocate(7, &[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_lost_and_each_part_is_within_one_of_its_share(total in any::<i64>(), weights in prop::collection::vec(0..1_000_u64, 1..12)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let parts = allocate(total, &weights).expect("a weight above 0");
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(total));
            let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let error = i128::from(*part) * sum - i128::from(total) * i128::from(*weight);
                prop_assert!(error.abs() < sum);
            }
        }
    }
}
