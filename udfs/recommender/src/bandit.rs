//! Exploration: which product that nobody asked for to show next, by UCB1 (P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time Analysis of
//! the Multiarmed Bandit Problem", Machine Learning 47, 2002), one bandit per context. It explores without chance: what was
//! shown least and clicked most is next. In integers.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

/// Thousandths in an index of 1.
const MILLI: u128 = 1_000;
/// Bits behind the point of logarithms.
const LOG_BITS: u32 = 32;
/// The natural logarithm of 2, in units of 2^-64.
const LN_2: u128 = 0xB172_17F7_D1CF_79AB;

/// What is known of a context's products.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandit {
    /// How often any was shown.
    total: u32,
    arms: BTreeMap<String, Arm>,
}

/// How often a product was shown, and clicked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    pub shown: u32,
    pub clicked: u32,
}

impl Arm {
    /// The upper confidence bound of the share of clicks: `clicked / shown + sqrt(2 ln(total) / shown)`, in thousandths, rounded
    /// down. None for what was never shown, which comes before all others. `ln_total` is in units of 2^-32.
    fn index_milli(self, ln_total: u128) -> Option<i64> {
        if self.shown == 0 {
            return None;
        }
        let shown = u128::from(self.shown);
        // 2 ln(total) / shown, times a million, so that the root is in thousandths. Below 2^80.
        let squared = 2 * ln_total * MILLI * MILLI / shown;
        let confidence = (squared << LOG_BITS).isqrt() >> LOG_BITS;
        Some((u128::from(self.clicked) * MILLI / shown + confidence) as i64)
    }
}

/// The natural logarithm of a number above 0, in units of 2^-32, rounded down: the digits of the binary logarithm come one by
/// one, by squaring.
fn ln(number: u32) -> u128 {
    let whole = number.ilog2();
    // 1 to below 2, with 63 bits behind the point.
    let mut rest = u128::from(number) << (63 - whole);
    let mut log2 = u128::from(whole);
    for _ in 0..LOG_BITS {
        rest = (rest * rest) >> 63;
        let digit = rest >> 64;
        rest >>= digit;
        log2 = (log2 << 1) | digit;
    }
    (log2 * LN_2) >> 64
}

impl Bandit {
    /// The product to show next of these: of equals the first.
    pub fn choose<'a>(&self, products: impl Iterator<Item = &'a str>) -> Option<(&'a str, Arm)> {
        let arms = products.map(|id| (id, self.arms.get(id).copied().unwrap_or_default()));
        // `min_by_key` gives the first of equals; an arm without index is first of all.
        let ln_total = ln(self.total.max(1));
        arms.min_by_key(|(_, arm)| arm.index_milli(ln_total).map(std::cmp::Reverse))
    }

    /// All products, the one to show next first: of equals in their order.
    pub fn ranked<'a>(&self, products: impl Iterator<Item = &'a str>) -> Vec<(&'a str, Arm)> {
        let arms = products.map(|id| (id, self.arms.get(id).copied().unwrap_or_default()));
        let mut arms: Vec<_> = arms.collect();
        let ln_total = ln(self.total.max(1));
        // What has no index was never shown, and is first of all.
        arms.sort_by_key(|(_, arm)| arm.index_milli(ln_total).map(std::cmp::Reverse));
        arms
    }

    /// Counts a product as shown.
    pub fn show(&mut self, product: &str) {
        let arm = self.arms.entry(product.to_owned()).or_default();
        arm.shown = arm.shown.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// Counts a click on a product that was shown.
    pub fn click(&mut self, product: &str) {
        if let Some(arm) = self.arms.get_mut(product) {
            arm.clicked = arm.shown.min(arm.clicked.saturating_add(1));
        }
    }

    /// Forgets products that are no longer explored.
    pub fn retain(&mut self, explored: impl Fn(&str) -> bool) {
        self.arms.retain(|id, _| explored(id));
        self.total = self.arms.values().fold(0, |sum, arm| sum.saturating_add(arm.shown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_udf::prelude::Random;
    use proptest::prelude::*;

    /// Auer et al., theorem 1, on the first distribution of their table: arms that pay with probability 0.9 and 0.6. The regret after
    /// n rounds is at most `8 ln(n) / 0.3 + (1 + pi^2 / 3) * 0.3`; 246.9 for 10,000.
    #[test]
    fn the_published_bound_of_regret_holds() {
        let seed = 2002;
        let mut random = Random::from_seed(seed);
        let mut bandit = Bandit::default();
        for round in 1..=10_000_u32 {
            let (id, _) = bandit.choose(["good", "bad"].into_iter()).expect("two arms");
            let per_mille = if id == "good" { 900 } else { 600 };
            bandit.show(id);
            if random.below(1_000) < per_mille {
                bandit.click(id);
            }
            if round == 10_000 {
                let regret = 0.3 * f64::from(bandit.arms["bad"].shown);
                let bound = 8.0 * f64::from(round).ln() / 0.3
                    + (1.0 + std::f64::consts::PI.powi(2) / 3.0) * 0.3;
                assert!((246.8..247.0).contains(&bound), "{bound}");
                assert!(regret <= bound, "seed {seed}: {regret} is above {bound}");
            }
        }
    }

    #[test]
    fn by_hand() {
        // 3/5 + sqrt(2 ln 10 / 5) = 0.6 + 0.9597
        assert_eq!(Arm { shown: 5, clicked: 3 }.index_milli(ln(10)), Some(1_559));
        assert_eq!(Arm { shown: 1, clicked: 0 }.index_milli(ln(1)), Some(0));
        assert_eq!(Arm::default().index_milli(ln(10)), None);
        assert_eq!(ln(1), 0);
        // 2.302585092994 * 2^32
        assert_eq!(ln(10) >> 8, 9_889_527_671_u128 >> 8);
    }

    #[test]
    fn what_was_never_shown_comes_first_in_its_order() {
        let mut bandit = Bandit::default();
        let next = |bandit: &Bandit| bandit.choose(["a", "b", "c"].into_iter()).expect("arms").0;
        for expected in ["a", "b", "c"] {
            assert_eq!(next(&bandit), expected);
            bandit.show(expected);
        }
        assert_eq!(next(&bandit), "a");
        bandit.click("c");
        bandit.click("c");
        assert_eq!((next(&bandit), bandit.arms["c"]), ("c", Arm { shown: 1, clicked: 1 }));
        bandit.retain(|id| id != "c");
        // What was forgotten was never shown.
        assert_eq!((next(&bandit), bandit.total), ("c", 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The ranking has every product once, and begins with what is chosen.
        #[test]
        fn the_first_of_the_ranking_is_chosen(steps in prop::collection::vec((0..5_usize, any::<bool>()), 0..60)) {
            let products = ["a", "b", "c", "d", "e"];
            let mut bandit = Bandit::default();
            for (product, clicked) in steps {
                bandit.show(products[product]);
                if clicked {
                    bandit.click(products[product]);
                }
                let ranked = bandit.ranked(products.into_iter());
                prop_assert_eq!(ranked.first().copied(), bandit.choose(products.into_iter()));
                let mut ids: Vec<_> = ranked.into_iter().map(|(id, _)| id).collect();
                ids.sort_unstable();
                prop_assert_eq!(ids, products);
            }
        }

        #[test]
        fn follows_the_real_formula(shown in 1..1_000_000_u32, share in 0..=100_u32, more in 0..1_000_000_u32) {
            let (clicked, total) = (shown / 100 * share, shown.saturating_add(more));
            let real = f64::from(clicked) / f64::from(shown) + (2.0 * f64::from(total).ln() / f64::from(shown)).sqrt();
            let index = Arm { shown, clicked }.index_milli(ln(total)).expect("it was shown");
            prop_assert!((index as f64 - real * 1_000.0).abs() <= 3.0, "{index} {real}");
        }
    }
}
