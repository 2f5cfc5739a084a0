//! Tax lots: what was bought when for how much, and which of it is sold.

use finance::{Rounding, allocate, mul_div};
use millstream_udf::prelude::*;

/// Which lots are sold first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The oldest: what tax offices assume of who does not say otherwise (United States: 26 CFR 1.1012-1(c)).
    #[default]
    Fifo,
    /// The newest.
    Lifo,
    /// Those that cost most by the piece, which gives the smallest gain.
    Hifo,
}

/// Pieces bought at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// When, in milliseconds since 1970 UTC.
    pub acquired: i64,
    /// Pieces left, in millionths.
    pub quantity: i64,
    /// What they cost, in minor units.
    pub cost: i64,
}

/// A part of a lot that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// When it was bought.
    pub acquired: i64,
    /// Pieces, in millionths.
    pub quantity: i64,
    /// What they cost, in minor units.
    pub cost: i64,
    /// What they bring, in minor units.
    pub proceeds: i64,
}

impl Sold {
    /// Proceeds less cost.
    pub fn gain(&self) -> i64 {
        self.proceeds - self.cost
    }
}

/// Takes `quantity` out of the lots, for `proceeds` in all. Proceeds are shared by pieces and the cost of a lot that is sold in part
/// by what is taken; both without a minor unit lost. Lots that are sold out go. Panics if there is less.
pub fn sell(lots: &mut Vec<Lot>, order: Order, quantity: i64, proceeds: i64) -> Vec<Sold> {
    let mut places: Vec<usize> = (0..lots.len()).collect();
    match order {
        Order::Fifo => places.sort_by_key(|i| lots[*i].acquired),
        Order::Lifo => places.sort_by_key(|i| std::cmp::Reverse(lots[*i].acquired)),
        // Cost by the piece, compared without dividing: a/b > c/d as a*d > c*b.
        Order::Hifo => places.sort_by(|a, b| {
            let (a, b) = (&lots[*a], &lots[*b]);
            let left = i128::from(b.cost) * i128::from(a.quantity);
            left.cmp(&(i128::from(a.cost) * i128::from(b.quantity)))
        }),
    }
    let mut left = quantity;
    let mut sold = Vec::new();
    for place in places {
        if left == 0 {
            break;
        }
        let lot = &mut lots[place];
        let taken = left.min(lot.quantity);
        // At most the lot's cost.
        let cost = mul_div(lot.cost.into(), taken.into(), lot.quantity.into(), Rounding::HalfEven);
        let cost = cost.unwrap_or(lot.cost);
        lot.quantity -= taken;
        lot.cost -= cost;
        left -= taken;
        sold.push(Sold { acquired: lot.acquired, quantity: taken, cost, proceeds: 0 });
    }
    assert_eq!(left, 0, "sold more than there is");
    lots.retain(|lot| lot.quantity > 0);
    let weights: Vec<u64> = sold.iter().map(|part| part.quantity.unsigned_abs()).collect();
    for (part, proceeds) in sold.iter_mut().zip(allocate(proceeds, &weights).unwrap_or_default()) {
        part.proceeds = proceeds;
    }
    sold
}
