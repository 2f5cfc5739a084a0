//! q5, q7, q11: bids by windows of event time.

use std::collections::HashMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Out, Text};

/// Length of q5's and q7's windows, and the pause that ends q11's sessions.
const WINDOW_MS: i64 = 10_000;
/// From one of q5's windows to the next.
const SLIDE_MS: i64 = 2_000;

/// The auctions with the most bids of each window.
pub fn q5(bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Deserialize)]
    struct Bid {
        auction: i64,
        #[serde(rename = "dateTime")]
        time: i64,
    }
    #[derive(Serialize)]
    struct Hot {
        auction: i64,
        bids: i64,
        end: i64,
        start: i64,
    }
    // By slide and auction: a window is five slides.
    let mut slides: HashMap<i64, HashMap<i64, i64>> = HashMap::new();
    for bid in bids.events() {
        let Bid { auction, time } = bid?;
        *slides.entry(time / SLIDE_MS).or_default().entry(auction).or_default() += 1;
    }
    let in_window = WINDOW_MS / SLIDE_MS;
    let (first, last) = (slides.keys().min().copied(), slides.keys().max().copied());
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    for window in first - in_window + 1..=last {
        let mut counts: HashMap<i64, i64> = HashMap::new();
        for slide in (window..window + in_window).filter_map(|slide| slides.get(&slide)) {
            for (auction, bids) in slide {
                *counts.entry(*auction).or_default() += bids;
            }
        }
        let most = counts.values().max().copied();
        let (start, end) = (window * SLIDE_MS, window * SLIDE_MS + WINDOW_MS);
        for (&auction, &bids) in counts.iter().filter(|(_, bids)| Some(**bids) == most) {
            out.item(&Hot { auction, bids, end, start })?;
        }
    }
    Ok(())
}

/// The bids with the highest price of each window.
pub fn q7(bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Deserialize)]
    struct Bid {
        auction: i64,
        bidder: i64,
        price: i64,
        #[serde(rename = "dateTime")]
        time: i64,
    }
    #[derive(Serialize)]
    struct Highest {
        auction: i64,
        bidder: i64,
        end: i64,
        price: i64,
        start: i64,
        time: i64,
    }
    let bids = bids.events().collect::<Result<Vec<Bid>>>()?;
    let mut prices: HashMap<i64, i64> = HashMap::new();
    for bid in &bids {
        let highest = prices.entry(bid.time / WINDOW_MS).or_insert(bid.price);
        *highest = bid.price.max(*highest);
    }
    for Bid { auction, bidder, price, time } in bids {
        let window = time / WINDOW_MS;
        if prices.get(&window) == Some(&price) {
            let (start, end) = (window * WINDOW_MS, (window + 1) * WINDOW_MS);
            out.item(&Highest { auction, bidder, end, price, start, time })?;
        }
    }
    Ok(())
}

/// The bids of each bidder until there is none for a while. One at the very end of a session belongs to it.
pub fn q11(bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Deserialize)]
    struct Bid {
        bidder: i64,
        #[serde(rename = "dateTime")]
        time: i64,
    }
    #[derive(Serialize)]
    struct Session {
        bidder: i64,
        bids: i64,
        end: i64,
        start: i64,
    }
    let mut times: HashMap<i64, Vec<i64>> = HashMap::new();
    for bid in bids.events() {
        let Bid { bidder, time } = bid?;
        times.entry(bidder).or_default().push(time);
    }
    for (bidder, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|a, b| b - a <= WINDOW_MS) {
            let (start, end) = (session[0], session[session.len() - 1] + WINDOW_MS);
            out.item(&Session { bidder, bids: session.len() as i64, end, start })?;
        }
    }
    Ok(())
}
