//! Closed auctions of a key: those that wait for the watermark, and the averages over the others.

use std::collections::VecDeque;

use millstream_udf::prelude::*;

/// Closing prices that q6 averages.
pub const LAST_PRICES: usize = 10;

/// Closed auctions of a key that the watermark has not reached yet: they come from several partitions, in no order.
#[derive(Default, Serialize, Deserialize)]
pub struct Waiting(Vec<Due>);

/// A closed auction. The order is that of closing; auctions that close at the same time follow each other by their ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    pub time: i64,
    pub auction: i64,
    pub price: i64,
}

impl Waiting {
    /// Keeps one until its time.
    pub fn push(&mut self, due: Due) {
        self.0.push(due);
    }

    /// Takes those up to a time, in order.
    fn take(&mut self, through: i64) -> Vec<Due> {
        let mut due: Vec<_> = self.0.extract_if(.., |waiting| waiting.time <= through).collect();
        due.sort_unstable();
        due
    }
}

/// What is kept of a category.
#[derive(Default, Serialize, Deserialize)]
pub struct Category {
    pub waiting: Waiting,
    auctions: i64,
    cents: i64,
}

impl Category {
    /// The number of auctions that have closed up to a time, and the average of their prices.
    pub fn average(&mut self, through: i64) -> (i64, i64) {
        for due in self.waiting.take(through) {
            self.auctions += 1;
            self.cents += due.price;
        }
        (self.auctions, rounded(self.cents, self.auctions))
    }
}

/// What is kept of a seller.
#[derive(Default, Serialize, Deserialize)]
pub struct Seller {
    pub waiting: Waiting,
    last: VecDeque<i64>,
}

impl Seller {
    /// For each auction that closes up to a time, its id and the average of its price and those before it.
    pub fn averages(&mut self, through: i64) -> impl Iterator<Item = (i64, i64)> {
        let last = &mut self.last;
        self.waiting.take(through).into_iter().map(|due| {
            if last.len() == LAST_PRICES {
                last.pop_front();
            }
            last.push_back(due.price);
            (due.auction, rounded(last.iter().sum(), last.len() as i64))
        })
    }
}

/// The quotient, halves rounded up; 0 of nothing.
fn rounded(cents: i64, by: i64) -> i64 {
    if by == 0 { 0 } else { (2 * cents + by).div_euclid(2 * by) }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!([rounded(5, 2), rounded(4, 3), rounded(5, 3), rounded(0, 0)], [3, 1, 2, 0]);
    }
}
