//! What windows hold of bids.

use millstream_udf::prelude::*;

/// A bid that may be the highest.
#[derive(Clone, Copy)]
pub struct Placed {
    /// In cents.
    pub price: i64,
    pub bidder: i64,
    pub time: i64,
}

/// How many bids, and the highest of those that are [`Placed`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Bids {
    pub count: i64,
    pub highest: Highest,
}

/// The bidders and times of the bids with the highest price; several if they are equally high.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Highest {
    pub price: i64,
    pub items: Vec<(i64, i64)>,
}

impl Highest {
    fn add(&mut self, price: i64, item: (i64, i64)) {
        if self.items.is_empty() || price > self.price {
            self.price = price;
            self.items.clear();
        }
        if price == self.price {
            self.items.push(item);
        }
    }
}

impl Aggregate for Bids {
    /// `None` for a bid that is only counted.
    type Input<'i> = Option<Placed>;
    type Result = Self;

    fn add(&mut self, placed: &Option<Placed>) {
        self.count += 1;
        if let Some(Placed { price, bidder, time }) = *placed {
            self.highest.add(price, (bidder, time));
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        for item in other.highest.items {
            self.highest.add(other.highest.price, item);
        }
    }

    fn result(&self) -> Self {
        self.clone()
    }
}
