//! A model's sum and what made it.

use crate::config::ONE;

/// A sum, its expectation, and each feature's share of the difference, all as floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained<'m> {
    /// What the model gives.
    pub sum: f64,
    /// What it gives on average.
    pub expected: f64,
    /// By feature: together `sum - expected`, but for rounding.
    pub shares: Vec<(&'m str, f64)>,
}

/// The same in millionths, where it adds up exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rounded<'m> {
    pub sum: i64,
    pub expected: i64,
    pub shares: Vec<(&'m str, i64)>,
}

impl<'m> Explained<'m> {
    /// Rounds sum and expectation to millionths, and the shares so that they add up to the difference: each is rounded down, and the
    /// millionths that are left over go to those that lost most. `None` for what is no number, or above 10^12.
    pub fn rounded(&self) -> Option<Rounded<'m>> {
        let (sum, expected) = (millionths(self.sum)?, millionths(self.expected)?);
        let mut shares = Vec::with_capacity(self.shares.len());
        let mut lost: Vec<(usize, f64)> = Vec::with_capacity(self.shares.len());
        for (i, (feature, share)) in self.shares.iter().enumerate() {
            millionths(*share)?;
            let exact = share * ONE as f64;
            let down = libm::floor(exact);
            shares.push((*feature, down as i64));
            lost.push((i, exact - down));
        }
        lost.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut left = sum - expected - shares.iter().map(|(_, share)| share).sum::<i64>();
        // The floats' own rounding may leave less than nothing, or more than there are shares.
        let mut places = lost.iter().map(|(i, _)| *i).cycle();
        while left != 0 {
            let place = places.next()?;
            shares[place].1 += left.signum();
            left -= left.signum();
        }
        Some(Rounded { sum, expected, shares })
    }
}

/// The nearest millionth, unless it is no number or above 10^12.
pub fn millionths(value: f64) -> Option<i64> {
    let exact = libm::rint(value * ONE as f64);
    (exact.abs() <= 1e18).then_some(exact as i64)
}
