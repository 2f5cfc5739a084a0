//! q4, q6: what auctions close at.

use std::collections::HashMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Out, Text, average};

/// Prices that q6 averages.
const LAST_PRICES: usize = 10;

/// An auction that has closed with a bid.
struct Closed {
    auction: i64,
    category: i64,
    seller: i64,
    time: i64,
    price: i64,
}

/// All auctions that have closed with a bid: one between their opening and their expiry, both included.
fn closed(auctions: &Text, bids: &Text) -> Result<Vec<Closed>> {
    #[derive(Deserialize)]
    struct Auction {
        id: i64,
        category: i64,
        seller: i64,
        #[serde(rename = "dateTime")]
        time: i64,
        expires: i64,
    }
    #[derive(Deserialize)]
    struct Bid {
        auction: i64,
        price: i64,
        #[serde(rename = "dateTime")]
        time: i64,
    }
    let mut prices: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    for bid in bids.events() {
        let Bid { auction, price, time } = bid?;
        prices.entry(auction).or_default().push((time, price));
    }
    let mut closed = Vec::new();
    for auction in auctions.events() {
        let Auction { id: auction, category, seller, time, expires } = auction?;
        let bids = prices.get(&auction).map_or(&[][..], Vec::as_slice);
        let counted = bids.iter().filter(|(bid, _)| time <= *bid && *bid <= expires);
        if let Some(&(_, price)) = counted.max_by_key(|(_, price)| *price) {
            closed.push(Closed { auction, category, seller, time: expires, price });
        }
    }
    Ok(closed)
}

/// The average of a category behind each time at which auctions of it close.
pub fn q4(auctions: &Text, bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Serialize)]
    struct Average {
        auctions: i64,
        average: i64,
        category: i64,
        time: i64,
    }
    let mut closed = closed(auctions, bids)?;
    closed.sort_by_key(|closed| (closed.category, closed.time));
    for of_category in closed.chunk_by(|a, b| a.category == b.category) {
        let (mut auctions, mut cents) = (0, 0);
        for together in of_category.chunk_by(|a, b| a.time == b.time) {
            auctions += together.len() as i64;
            cents += together.iter().map(|closed| closed.price).sum::<i64>();
            let Closed { category, time, .. } = together[0];
            let average = average(cents, auctions);
            out.item(&Average { auctions, average, category, time })?;
        }
    }
    Ok(())
}

/// The average of a seller's last prices with each auction that closes.
pub fn q6(auctions: &Text, bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Serialize)]
    struct Average {
        auction: i64,
        average: i64,
        seller: i64,
        time: i64,
    }
    let mut closed = closed(auctions, bids)?;
    closed.sort_by_key(|closed| (closed.seller, closed.time, closed.auction));
    for of_seller in closed.chunk_by(|a, b| a.seller == b.seller) {
        for last in 1..=of_seller.len() {
            let averaged = &of_seller[last.saturating_sub(LAST_PRICES)..last];
            let cents = averaged.iter().map(|closed| closed.price).sum();
            let average = average(cents, averaged.len() as i64);
            let Closed { auction, seller, time, .. } = of_seller[last - 1];
            out.item(&Average { auction, average, seller, time })?;
        }
    }
    Ok(())
}
