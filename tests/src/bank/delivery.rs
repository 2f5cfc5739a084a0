//! How the core systems deliver the ledger: numbered, chained by hashes, in daily batches with control totals; and what goes wrong on the
//! way. Read by `data-integrity`, whose valid records are what everybody else reads.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ledger::Booking;
use super::outcome::{Outcome, integer, text};
use super::people::Customer;
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, CLOSING, CLOSING_MS, DAY_MS, HOUR_MS, MINUTE_MS, World};

/// The stream.
const FEEDS: &str = "FEEDS";
/// The pipeline.
const PIPELINE: &str = "data-integrity";
const REJECTED: &str = "data-integrity rejected";
const GAPS: &str = "data-integrity gaps";
const BREAKS: &str = "data-integrity control totals";

/// How often each thing goes wrong in each system.
const TIMES: usize = 3;
/// Lines that are no record.
const GARBLED: usize = 5;
/// Records of a type that nobody knows.
const HEARTBEATS: usize = 4;
/// From a booking to its sending, at most.
const SENDING_MS: i64 = 20_000;
/// Something that overtakes or is sent again does so within this; longer than a gap is waited for.
const DETOUR_MS: i64 = 90 * MINUTE_MS;

/// What may happen to a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// It never comes.
    Lost,
    /// Only its first half comes.
    Truncated,
    /// It comes behind others, when it has been missed.
    Overtaken,
    /// It comes twice.
    Doubled,
    /// Another record comes under its number.
    Contradicted,
    /// Its amount is changed on the way.
    Tampered,
    /// A field is wrong before it is sent; with the reason.
    Wrong(&'static str),
}

/// All mishaps of a system; each happens [`TIMES`] times.
const MISHAPS: [Mishap; 11] = [
    Mishap::Lost,
    Mishap::Truncated,
    Mishap::Overtaken,
    Mishap::Doubled,
    Mishap::Contradicted,
    Mishap::Tampered,
    Mishap::Wrong("invalid_identifier"),
    Mishap::Wrong("no_such_date"),
    Mishap::Wrong("unknown_reference"),
    Mishap::Wrong("missing"),
    Mishap::Wrong("below_minimum"),
];

/// A core system.
struct System {
    name: String,
    branch: &'static str,
    /// Number of the last record.
    seq: i64,
    hash: String,
    /// By day: number of records and sum of the amounts as they were sent.
    batches: BTreeMap<i64, (i64, i64)>,
    /// Days on which not all arrived as it was sent.
    broken: BTreeSet<i64>,
}

pub(super) fn plant(world: &mut World) {
    let mut bookings = std::mem::take(&mut world.bookings);
    bookings.sort_by_key(|booking| booking.ts);
    for branch in ["north", "south"] {
        let own: Vec<&Booking> =
            bookings.iter().filter(|booking| booking.branch == branch).collect();
        let mut system = System {
            name: format!("core-{branch}"),
            branch,
            seq: 0,
            hash: "0".repeat(64),
            batches: BTreeMap::new(),
            broken: BTreeSet::new(),
        };
        let mishaps = mishaps(world, &own);
        for (index, booking) in own.iter().enumerate() {
            system.deliver(world, booking, mishaps.get(&index).copied());
        }
        system.controls(world);
        if branch == "south" {
            system.close(world);
        }
    }
    world.garble(FEEDS, GARBLED);
    for number in 0..HEARTBEATS {
        let ts = world.moment(number as i64 * 9);
        world.send(FEEDS, ts, 0, &json!({"type": "heartbeat", "source": "core-north", "ts": ts}));
        world.truth.add("FEEDS garbled", 1);
    }
}

/// Which bookings something happens to: none that matter, none at the edges of a day, and no two in a row.
fn mishaps(world: &mut World, bookings: &[&Booking]) -> BTreeMap<usize, Mishap> {
    let is_fit = |index: usize| {
        let hour = (bookings[index].ts - BEGIN_MS).rem_euclid(DAY_MS) / HOUR_MS;
        !bookings[index].matters && (9..19).contains(&hour) && index.is_multiple_of(4)
    };
    let mut fit: Vec<usize> =
        (1..bookings.len().saturating_sub(1)).filter(|index| is_fit(*index)).collect();
    fit.shuffle(&mut world.random);
    let wanted = MISHAPS.into_iter().flat_map(|mishap| [mishap; TIMES]);
    fit.into_iter().zip(wanted).collect()
}

impl System {
    /// Sends a booking, and what happens to it.
    fn deliver(&mut self, world: &mut World, booking: &Booking, mishap: Option<Mishap>) {
        let mut data = booking.data(world);
        if let Some(Mishap::Wrong(code)) = mishap {
            spoil(&mut data, code);
        }
        self.seq += 1;
        let ts = booking.ts + world.random.random_range(0..SENDING_MS);
        let day = (ts - BEGIN_MS).div_euclid(DAY_MS);
        let amount = data["amount_minor"].as_i64().unwrap_or(0);
        let batch = self.batches.entry(day).or_default();
        (batch.0, batch.1) = (batch.0 + 1, batch.1 + amount);
        let before = std::mem::take(&mut self.hash);
        self.hash = chained(&before, &data);
        let label = format!("{} {}", self.name, self.seq);
        let line = self.line(ts, day, &data, &before, &self.hash);
        match mishap {
            None => self.arrive(world, booking, ts, line),
            Some(Mishap::Lost) => self.miss(world, &label, day),
            Some(Mishap::Truncated) => {
                self.miss(world, &label, day);
                self.put(world, ts, line[..line.len() / 2].to_owned());
                world.truth.add("FEEDS garbled", 1);
            }
            Some(Mishap::Overtaken) => {
                world.truth.plant(GAPS, format!("{label} gap_open"));
                world.truth.plant(GAPS, format!("{label} gap_filled"));
                self.arrive(world, booking, ts + DETOUR_MS, line);
            }
            Some(Mishap::Doubled) => {
                world.truth.plant(REJECTED, format!("{label} duplicate"));
                self.arrive(world, booking, ts, line.clone());
                self.refuse(world, ts + DETOUR_MS, line);
            }
            Some(Mishap::Contradicted) => {
                world.truth.plant(REJECTED, format!("{label} conflicting_duplicate"));
                self.arrive(world, booking, ts, line);
                let data = Booking { amount_minor: booking.amount_minor + 1, ..booking.clone() }
                    .data(world);
                let other = self.line(ts, day, &data, &before, &chained(&before, &data));
                self.refuse(world, ts + DETOUR_MS, other);
            }
            Some(Mishap::Tampered) => {
                world.truth.plant(REJECTED, format!("{label} hash_mismatch"));
                self.broken.insert(day);
                data["amount_minor"] = json!(amount + 10_000);
                let line = self.line(ts, day, &data, &before, &self.hash);
                self.refuse(world, ts, line);
            }
            Some(Mishap::Wrong(code)) => {
                world.truth.plant(REJECTED, format!("{label} {code}"));
                self.refuse(world, ts, line);
            }
        }
    }

    fn line(&self, ts: i64, day: i64, data: &Value, before: &str, hash: &str) -> String {
        let record = json!({
            "type": "record",
            "source": self.name,
            "seq": self.seq,
            "ts": ts,
            "batch_id": self.batch(day),
            "previous_hash": before,
            "hash": hash,
            "data": data,
        });
        record.to_string()
    }

    fn batch(&self, day: i64) -> String {
        format!("{}-{day}", self.branch)
    }

    fn put(&self, world: &mut World, at: i64, line: String) {
        world.truth.add("FEEDS records", 1);
        world.line(FEEDS, at, line);
    }

    /// A record that has no fault.
    fn arrive(&self, world: &mut World, booking: &Booking, at: i64, line: String) {
        booking.count(&mut world.truth);
        self.put(world, at, line);
    }

    /// A record that must be rejected.
    fn refuse(&self, world: &mut World, at: i64, line: String) {
        world.truth.add("FEEDS rejected", 1);
        self.put(world, at, line);
    }

    /// A number that never comes.
    fn miss(&mut self, world: &mut World, label: &str, day: i64) {
        world.truth.plant(GAPS, format!("{label} gap_open"));
        self.broken.insert(day);
    }

    /// What the warehouse says of each batch, half an hour behind midnight; of some it says something else.
    fn controls(&mut self, world: &mut World) {
        let whole: Vec<i64> =
            self.batches.keys().filter(|day| !self.broken.contains(*day)).copied().collect();
        for _ in 0..TIMES {
            self.broken.insert(whole[world.random.random_range(0..whole.len())]);
        }
        let mistaken: BTreeSet<i64> =
            whole.into_iter().filter(|day| self.broken.contains(day)).collect();
        for (&day, &(count, total)) in &self.batches {
            let ts = BEGIN_MS + (day + 1) * DAY_MS + HOUR_MS / 2;
            let off = i64::from(mistaken.contains(&day));
            let control = json!({
                "type": "control",
                "source": self.name,
                "batch_id": self.batch(day),
                "system": "warehouse",
                "count": count,
                "total": total + off * 100,
                "ts": ts,
            });
            world.send(FEEDS, ts, 0, &control);
            world.truth.add("FEEDS controls", 1);
            world.truth.add("FEEDS records", 1);
            if self.broken.contains(&day) {
                world.truth.plant(BREAKS, self.batch(day));
            }
        }
    }

    /// The last record, a year later.
    fn close(&mut self, world: &mut World) {
        let who = Customer {
            id: CLOSING.to_owned(),
            account: CLOSING.to_owned(),
            branch: self.branch,
            currency: "EUR",
            ..world.people[0].clone()
        };
        let booking = Booking::transfer(&who, CLOSING_MS, "in", 100, "employer");
        self.deliver(world, &booking, None);
    }
}

/// SHA-256 over the hash before and the data as it is sent, hexadecimal.
fn chained(before: &str, data: &Value) -> String {
    let byte = |at: usize| u8::from_str_radix(&before[at..at + 2], 16).expect("a hash");
    let mut hash = Sha256::new();
    hash.update((0..32).map(|index| byte(index * 2)).collect::<Vec<u8>>());
    hash.update(data.to_string());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a record wrong, so that it is rejected for this reason.
fn spoil(data: &mut Value, code: &str) {
    match code {
        "invalid_identifier" => data["counterparty_iban"] = json!("DE00500000000000000000"),
        "no_such_date" => data["value_date"] = json!("2026-02-30"),
        "unknown_reference" => data["currency"] = json!("XAU"),
        "missing" => {
            data.as_object_mut().expect("an object").remove("counterparty");
        }
        _ => data["amount_minor"] = json!(-1),
    }
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let label = |output: &Value, seq: i128| format!("{} {seq}", text(&output["source"]));
    let rejected = outcome.of(PIPELINE, "rejected").flat_map(|output| {
        let reasons = output["reasons"].as_array().into_iter().flatten();
        reasons.map(move |reason| {
            format!("{} {}", label(output, integer(&output["seq"])), text(&reason["code"]))
        })
    });
    verdict.found(REJECTED, &truth.planted(REJECTED), &rejected.collect(), (100, 95));
    let gaps = outcome.of(PIPELINE, "gap").flat_map(|gap| {
        let seqs = integer(&gap["from_seq"])..=integer(&gap["to_seq"]);
        seqs.map(move |seq| format!("{} {}", label(gap, seq), text(&gap["reason"])))
    });
    verdict.found(GAPS, &truth.planted(GAPS), &gaps.collect(), (100, 95));
    let breaks =
        outcome.of(PIPELINE, "reconciliation").filter(|output| output["status"] == "break");
    let breaks = breaks.map(|output| text(&output["batch_id"])).collect();
    verdict.found(BREAKS, &truth.planted(BREAKS), &breaks, (100, 100));

    let valid = outcome.count(PIPELINE, "valid");
    verdict.equal("valid records", &valid, &truth.total("LEDGER records"));
    verdict.equal(
        "rejected records",
        &outcome.count(PIPELINE, "rejected"),
        &truth.total("FEEDS rejected"),
    );
    let controls = outcome.count(PIPELINE, "reconciliation");
    verdict.equal("controls", &controls, &truth.total("FEEDS controls"));
    let letters = outcome.letters(PIPELINE).len() as i128;
    verdict.equal("dead letters of data-integrity", &letters, &truth.total("FEEDS garbled"));
    let mut minor = BTreeMap::new();
    for output in outcome.of(PIPELINE, "valid") {
        let data = &output["data"];
        *minor.entry(text(&data["currency"])).or_default() += integer(&data["amount_minor"]);
    }
    verdict.equal("minor units by currency", &minor, &truth.totals("LEDGER minor "));
}
