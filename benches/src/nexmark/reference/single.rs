//! q0, q1, q2: each bid by itself.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Out, Text};

/// Euros of a thousand dollars.
const EUROS: i64 = 908;

/// All bids.
pub fn q0(bids: &Text, out: &mut Out) -> Result<()> {
    bids.lines().try_for_each(|line| out.line(line))
}

/// All bids in another currency.
pub fn q1(bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Deserialize)]
    struct Bid<'a> {
        auction: i64,
        bidder: i64,
        #[serde(rename = "dateTime")]
        time: i64,
        extra: &'a str,
        price: i64,
    }
    #[derive(Serialize)]
    struct Converted<'a> {
        auction: i64,
        bidder: i64,
        #[serde(rename = "dateTime")]
        time: i64,
        extra: &'a str,
        price: &'a RawValue,
    }
    for bid in bids.events() {
        let Bid { auction, bidder, time, extra, price } = bid?;
        let exact = price * EUROS;
        let price = RawValue::from_string(format!("{}.{:03}", exact / 1_000, exact % 1_000))?;
        out.item(&Converted { auction, bidder, time, extra, price: &price })?;
    }
    Ok(())
}

/// The bids of some auctions.
pub fn q2(bids: &Text, out: &mut Out) -> Result<()> {
    #[derive(Serialize, Deserialize)]
    struct Bid {
        auction: i64,
        price: i64,
    }
    for bid in bids.events::<Bid>() {
        let bid = bid?;
        if bid.auction % 123 == 0 {
            out.item(&bid)?;
        }
    }
    Ok(())
}
