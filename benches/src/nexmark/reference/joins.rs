//! q3, q8: persons and the auctions they open.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Out, Text};

/// Length of q8's windows.
const WINDOW_MS: i64 = 10_000;

/// Auctions of a category whose sellers live in one of three states.
pub fn q3(persons: &Text, auctions: &Text, out: &mut Out) -> Result<()> {
    #[derive(Deserialize)]
    struct Person<'a> {
        id: i64,
        name: &'a str,
        city: &'a str,
        state: &'a str,
    }
    #[derive(Deserialize)]
    struct Auction {
        id: i64,
        seller: i64,
        category: i64,
    }
    #[derive(Serialize)]
    struct Item<'a> {
        auction: i64,
        city: &'a str,
        name: &'a str,
        state: &'a str,
    }
    let mut locals = HashMap::new();
    for person in persons.events::<Person<'_>>() {
        let person = person?;
        if ["OR", "ID", "CA"].contains(&person.state) {
            locals.insert(person.id, person);
        }
    }
    for auction in auctions.events() {
        let Auction { id: auction, seller, category } = auction?;
        if let Some(Person { name, city, state, .. }) = locals.get(&seller)
            && category == 10
        {
            out.item(&Item { auction, city, name, state })?;
        }
    }
    Ok(())
}

/// Persons who registered in a window in which they also opened an auction.
pub fn q8(persons: &Text, auctions: &Text, out: &mut Out) -> Result<()> {
    #[derive(Deserialize)]
    struct Person<'a> {
        id: i64,
        name: &'a str,
        #[serde(rename = "dateTime")]
        time: i64,
    }
    #[derive(Deserialize)]
    struct Auction {
        seller: i64,
        #[serde(rename = "dateTime")]
        time: i64,
    }
    #[derive(Serialize)]
    struct Newcomer<'a> {
        end: i64,
        id: i64,
        name: &'a str,
        start: i64,
    }
    let mut sellers = HashSet::new();
    for auction in auctions.events() {
        let Auction { seller, time } = auction?;
        sellers.insert((seller, time / WINDOW_MS));
    }
    for person in persons.events() {
        let Person { id, name, time } = person?;
        let window = time / WINDOW_MS;
        if sellers.contains(&(id, window)) {
            let (start, end) = (window * WINDOW_MS, (window + 1) * WINDOW_MS);
            out.item(&Newcomer { end, id, name, start })?;
        }
    }
    Ok(())
}
