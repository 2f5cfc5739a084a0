//! Seeded events of the Nexmark benchmark as JSON lines: persons, auctions and bids, 1 : 3 : 46, each kind in a file of its own.
//!
//! Fields, ids, proportions and hot spots are those of the benchmark's usual generators; the texts are random. Prices are in cents.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::query::Source;
use crate::random::Random;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// Events that follow each other: one person, three auctions, bids.
const EPOCH: u64 = 50;
const AUCTIONS_PER_EPOCH: u64 = 3;

/// The first ids of persons and of auctions, and the first category.
const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

/// Persons who sell and bid: the last ones, and a few who do not exist yet.
const ACTIVE_PERSONS: u64 = 1_000;
/// Auctions that are bid on: the last ones, and a few that do not exist yet.
const OPEN_AUCTIONS: u64 = 100;
const NOT_YET: u64 = 10;
/// One in so many persons and auctions is hot for as long as it is the last such one.
const HOT_EVERY: u64 = 100;
/// One in so many sellers, bidders and auctions bid on is any; the others are hot.
const ANY_SELLER: u64 = 4;
const ANY_BIDDER: u64 = 4;
const ANY_AUCTION: u64 = 2;

/// Event time of the first event, in milliseconds since 1970.
const FIRST_MS: i64 = 1_700_000_040_000;
/// A tenth of the events are older than they should be at their place, by up to this much. Less than the bound of the pipelines'
/// watermarks.
const DISORDER_MS: u64 = 400;
const DISORDERED_ONE_IN: u64 = 10;

const FIRST_NAMES: [&str; 8] = ["Ada", "Ben", "Cleo", "Dora", "Emil", "Finn", "Gus", "Hana"];
const LAST_NAMES: [&str; 8] =
    ["Abbott", "Brandt", "Cohen", "Duarte", "Evans", "Fischer", "Gupta", "Hansen"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CHANNELS: [&str; 5] = ["web", "app", "partner", "phone", "store"];

/// What to write.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Events of all kinds.
    pub events: u64,
    /// Events a second of event time.
    pub rate: u64,
    /// Of the generator.
    pub seed: u32,
}

/// Writes the events of a plan to the file of each source in a folder.
pub fn write_files(plan: Plan, folder: &Path) -> Result<()> {
    let create = |source: Source| {
        let path = source.file(folder);
        let file =
            File::create(&path).with_context(|| format!("failed to write {}", path.display()))?;
        anyhow::Ok(BufWriter::with_capacity(WRITE_BYTES, file))
    };
    let mut persons = create(Source::Persons)?;
    let mut auctions = create(Source::Auctions)?;
    let mut bids = create(Source::Bids)?;
    write(plan, &mut persons, &mut auctions, &mut bids)?;
    for file in [&mut persons, &mut auctions, &mut bids] {
        file.flush()?;
    }
    Ok(())
}

/// Writes the events of a plan, one a line.
fn write(
    plan: Plan,
    persons: &mut dyn Write,
    auctions: &mut dyn Write,
    bids: &mut dyn Write,
) -> io::Result<()> {
    let mut generator = Generator::new(plan);
    for event in 0..plan.events {
        match event % EPOCH {
            0 => generator.person(event, persons)?,
            1..=AUCTIONS_PER_EPOCH => generator.auction(event, auctions)?,
            _ => generator.bid(event, bids)?,
        }
    }
    Ok(())
}

struct Generator {
    random: Random,
    rate: u64,
    /// Random letters, of which texts are pieces.
    letters: String,
}

impl Generator {
    fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let letter = |random: &mut Random| char::from(b'a' + (random.unit() * 26.0) as u8);
        let letters = (0..1 << 14).map(|_| letter(&mut random)).collect();
        Generator { random, rate: plan.rate, letters }
    }

    fn person(&mut self, event: u64, to: &mut dyn Write) -> io::Result<()> {
        let (id, time) = (FIRST_ID + event / EPOCH, self.time(event));
        let (first, last) = (self.one_of(&FIRST_NAMES), self.one_of(&LAST_NAMES));
        let (city, state) = (self.one_of(&CITIES), self.one_of(&STATES));
        let card: [u64; 4] = std::array::from_fn(|_| self.below(10_000));
        let (mail, extra) = (self.text(5, 10), self.text(20, 60));
        writeln!(
            to,
            r#"{{"id":{id},"name":"{first} {last}","emailAddress":"{mail}@example.com","creditCard":"{:04} {:04} {:04} {:04}","city":"{city}","state":"{state}","dateTime":{time},"extra":"{extra}"}}"#,
            card[0], card[1], card[2], card[3],
        )
    }

    fn auction(&mut self, event: u64, to: &mut dyn Write) -> io::Result<()> {
        let (id, time) = (FIRST_ID + last_auction(event), self.time(event));
        let seller = FIRST_ID
            + match self.below(ANY_SELLER) {
                0 => self.active_person(event),
                _ => event / EPOCH / HOT_EVERY * HOT_EVERY,
            };
        let category = FIRST_CATEGORY + self.below(CATEGORIES);
        let initial = self.price();
        let reserve = initial + self.price();
        // So long that about as many auctions are open as are bid on.
        let open_ms = OPEN_AUCTIONS * EPOCH / AUCTIONS_PER_EPOCH * 1_000 / self.rate;
        let expires = time + 1 + self.below(2 * open_ms.max(1)) as i64;
        let (name, description, extra) =
            (self.text(5, 20), self.text(50, 100), self.text(200, 300));
        writeln!(
            to,
            r#"{{"id":{id},"itemName":"{name}","description":"{description}","initialBid":{initial},"reserve":{reserve},"dateTime":{time},"expires":{expires},"seller":{seller},"category":{category},"extra":"{extra}"}}"#,
        )
    }

    fn bid(&mut self, event: u64, to: &mut dyn Write) -> io::Result<()> {
        let time = self.time(event);
        let last = last_auction(event);
        let auction = FIRST_ID
            + match self.below(ANY_AUCTION) {
                0 => {
                    let first = last.saturating_sub(OPEN_AUCTIONS);
                    first + self.below(last - first + 1 + NOT_YET)
                }
                _ => last / HOT_EVERY * HOT_EVERY,
            };
        let bidder = FIRST_ID
            + match self.below(ANY_BIDDER) {
                0 => self.active_person(event),
                _ => event / EPOCH / HOT_EVERY * HOT_EVERY + 1,
            };
        let (price, channel) = (self.price(), self.one_of(&CHANNELS));
        let (url, extra) = (self.text(8, 16), self.text(0, 30));
        writeln!(
            to,
            r#"{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"{channel}","url":"https://example.com/{url}","dateTime":{time},"extra":"{extra}"}}"#,
        )
    }

    /// The event time at a place, in milliseconds since 1970.
    fn time(&mut self, event: u64) -> i64 {
        let late_ms = match self.below(DISORDERED_ONE_IN) {
            0 => self.below(DISORDER_MS + 1),
            _ => 0,
        };
        FIRST_MS + (event * 1_000 / self.rate) as i64 - late_ms as i64
    }

    /// One of the last persons, or of the next ones; from 0.
    fn active_person(&mut self, event: u64) -> u64 {
        let persons = event / EPOCH + 1;
        let active = persons.min(ACTIVE_PERSONS);
        persons - active + self.below(active + NOT_YET)
    }

    /// From 1.00 to 1,000,000.00, in cents; each power of ten as often.
    fn price(&mut self) -> u64 {
        (10_f64.powf(self.random.unit() * 6.0) * 100.0).round() as u64
    }

    fn below(&mut self, end: u64) -> u64 {
        ((self.random.unit() * end as f64) as u64).min(end - 1)
    }

    fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.below(texts.len() as u64) as usize]
    }

    /// A text of `min` to `max` letters.
    fn text(&mut self, min: u64, max: u64) -> String {
        let length = (min + self.below(max - min + 1)) as usize;
        let start = self.below((self.letters.len() - length) as u64) as usize;
        self.letters[start..start + length].to_owned()
    }
}

/// The last auction up to an event; from 0. Before the first it is the first.
fn last_auction(event: u64) -> u64 {
    let (epoch, place) = (event / EPOCH, event % EPOCH);
    (epoch * AUCTIONS_PER_EPOCH + place.min(AUCTIONS_PER_EPOCH)).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of persons, auctions and bids.
    fn events(seed: u32) -> [String; 3] {
        let mut files: [Vec<u8>; 3] = Default::default();
        let [persons, auctions, bids] = &mut files;
        let plan = Plan { events: 5_000, rate: 500, seed };
        write(plan, persons, auctions, bids).unwrap();
        files.map(|file| String::from_utf8(file).unwrap())
    }

    #[test]
    fn a_seed_gives_the_same_events_in_the_proportions_of_the_benchmark() {
        let found = events(3);
        assert_eq!(found, events(3));
        assert_ne!(found, events(4));
        assert_eq!(found.map(|file| file.lines().count()), [100, 300, 4_600]);
    }

    #[test]
    fn ids_follow_each_other() {
        let [persons, auctions, _] = events(1);
        for (file, count) in [(persons, 100), (auctions, 300)] {
            let ids: Vec<u64> = file
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .map(|event| event["id"].as_u64().unwrap())
                .collect();
            assert_eq!(ids, (1_000..1_000 + count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_disorder_is_below_the_bound_of_the_watermarks() {
        let mut newest = [i64::MIN; 3];
        for (file, newest) in events(2).iter().zip(&mut newest) {
            let mut disordered = 0;
            for line in file.lines() {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                let time = event["dateTime"].as_i64().unwrap();
                assert!(time > newest.saturating_sub(499), "{time} behind {newest}");
                disordered += u32::from(time < *newest);
                *newest = time.max(*newest);
            }
            assert!(disordered > 0, "all are in order");
        }
    }
}
