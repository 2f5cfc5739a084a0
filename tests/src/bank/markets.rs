//! The bank's trading books: daily prices and trades of three desks, read by `market-risk`. Planted: a position that is too
//! large, and a fall that costs too much.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use serde_json::json;

use super::outcome::{Outcome, text, units};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, CLOSING, CLOSING_MS, DAY_MS, DAYS, HOUR_MS, World};

/// The stream.
const BOOKS: &str = "BOOKS";
/// The pipeline.
const PIPELINE: &str = "market-risk";

/// Books with their instruments, and pieces of each.
const DESKS: [(&str, [&str; 3], i64); 3] = [
    ("equities", ["ALPHA", "BETA", "GAMMA"], 1_000),
    ("funds", ["WORLD", "BONDS", "GOLD"], 600),
    ("treasury", ["SHORT", "MEDIUM", "LONG"], 2_000),
];
/// Day on which ALPHA is bought, and on which it is sold again.
const BOUGHT: (i64, i64) = (31, 44);
/// Day on which LONG falls, and by how many percent.
const FELL: (i64, i64) = (35, 12);
/// Lines that are no record.
const GARBLED: usize = 2;

pub(super) fn plant(world: &mut World) {
    world.garble(BOOKS, GARBLED);
    for (book, instruments, pieces) in DESKS {
        for instrument in instruments {
            let mut price = world.random.random_range(70_000..90_000);
            send(world, book, instrument, 0, "trade", price, Some(pieces));
            for day in (0..DAYS).filter(|day| day % 7 < 5) {
                price += price * world.random.random_range(-150..151) / 10_000;
                if (instrument, day) == ("LONG", FELL.0) {
                    price -= price * FELL.1 / 100;
                }
                world.closes.insert((instrument, day), price);
                send(world, book, instrument, day, "price", price, None);
                if instrument == "ALPHA" && day == BOUGHT.0 {
                    send(world, book, instrument, day, "trade", price, Some(pieces * 4));
                }
                if instrument == "ALPHA" && day == BOUGHT.1 {
                    send(world, book, instrument, day, "trade", price, Some(-pieces * 4));
                }
            }
        }
    }
    for label in ["equities gross_exposure", "treasury loss"] {
        world.truth.plant(PIPELINE, label);
    }
    let record = json!({
        "id": CLOSING, "type": "price", "book": CLOSING, "instrument": CLOSING, "price": 1, "ts": CLOSING_MS,
    });
    world.send(BOOKS, CLOSING_MS, 0, &record);
}

/// A price, or a trade of so many pieces at it. Prices are in cents.
fn send(
    world: &mut World,
    book: &str,
    instrument: &str,
    day: i64,
    kind: &str,
    cents: i64,
    pieces: Option<i64>,
) {
    let ts = BEGIN_MS + day * DAY_MS + 16 * HOUR_MS;
    let mut record = json!({
        "id": world.id("m"),
        "type": kind,
        "book": book,
        "instrument": instrument,
        "price": format!("{}.{:02}", cents / 100, cents % 100),
        "ts": ts,
    });
    if let Some(pieces) = pieces {
        record["quantity"] = json!(pieces);
    }
    world.send(BOOKS, ts, 0, &record);
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let broken = outcome.of(PIPELINE, "limit").filter(|limit| limit["reason"] == "above_limit");
    let broken =
        broken.map(|limit| format!("{} {}", text(&limit["book"]), text(&limit["measure"])));
    let broken: BTreeSet<String> = broken.collect();
    verdict.found(PIPELINE, &truth.planted(PIPELINE), &broken, (100, 60));
    // A report for each of the days on which there were prices.
    let mut reports = BTreeMap::new();
    let mut off = 0;
    for report in outcome.of(PIPELINE, "risk").filter(|report| report["book"] != CLOSING) {
        *reports.entry(text(&report["book"])).or_insert(0) += 1;
        for tail in report["tails"].as_array().into_iter().flatten() {
            let reasons = tail["reasons"].as_array().into_iter().flatten();
            let sum: i128 = reasons.map(|reason| units(&reason["loss"], 2)).sum();
            off += i32::from(sum != units(&tail["value_at_risk"], 2));
        }
    }
    let days = (0..DAYS).filter(|day| day % 7 < 5).count();
    let expected = DESKS.map(|(book, ..)| (book.to_owned(), days));
    verdict.equal("reports by book", &reports, &expected.into());
    verdict.equal("values at risk that are not the sum of their reasons", &off, &0);
    let letters = outcome.letters(PIPELINE).len() as i128;
    verdict.equal("dead letters of market-risk", &letters, &truth.total("BOOKS garbled"));
}
