//! Value at risk and expected shortfall of a sample of losses, as John C. Hull defines them for historical simulation
//! (Options, Futures, and Other Derivatives; Risk Management and Financial Institutions).

use finance::{Rounding, divide};

use crate::config::LEVEL_ONE;

/// The tail of the losses at a level of confidence, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The loss that is exceeded with one minus the confidence; negative if even that is a gain.
    pub value_at_risk: i64,
    /// The mean of the losses beyond it, to the nearest minor unit.
    pub expected_shortfall: i64,
    /// The scenario whose loss is the value at risk: an index into the losses.
    pub scenario: usize,
}

/// The tail of `losses` at `level` in 1/10000. With `n` losses and `k = n * (1 - level)`, rounded down but at least 1, the value at
/// risk is the `k`-th largest loss and the expected shortfall the mean of the `k - 1` larger ones (for `k = 1` it is the
/// largest loss itself). Equal losses count as larger the older they are. Panics without losses.
pub fn tail(losses: &[i64], level: i64) -> Tail {
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(losses[*i]));
    let k = (losses.len() as i64 * (LEVEL_ONE - level) / LEVEL_ONE).max(1) as usize;
    let scenario = order[k - 1];
    let value_at_risk = losses[scenario];
    let beyond = &order[..k - 1];
    let sum: i128 = beyond.iter().map(|i| i128::from(losses[*i])).sum();
    let expected_shortfall = match beyond.len() {
        0 => value_at_risk,
        // The mean is between the smallest and the largest of them.
        count => divide(sum, count as i128, Rounding::HalfEven) as i64,
    };
    Tail { value_at_risk, expected_shortfall, scenario }
}
