//! Twenty minutes of the desk that quotes currencies to customers, read by `dynamic-pricing`; it begins at the rates of that time. Planted:
//! customers whose margin is beyond the bounds, amounts that are too large, a feed that stops, and tiers that do not exist.

use rand::RngExt;
use serde_json::{Value, json};

use super::outcome::{Outcome, text, units};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, DAY_MS, HOUR_MS, World};

/// The stream.
const PRICING: &str = "PRICING";
/// The pipeline.
const PIPELINE: &str = "dynamic-pricing";
/// Use cases, as they are planted.
const BOUNDED: &str = "dynamic-pricing bounds";
const DECLINED: &str = "dynamic-pricing declined";

/// When it begins: in the middle of a Thursday.
const SESSION_MS: i64 = BEGIN_MS + 31 * DAY_MS + 10 * HOUR_MS;
/// Updates of the market, and time between two.
const UPDATES: i64 = 600;
const EVERY_MS: i64 = 2_000;
/// Updates of `GBPUSD` that do not come, and those among them with requests: the last market is then older than ten seconds.
const SILENT: std::ops::Range<i64> = 300..330;
const ASKED_IN_VAIN: [i64; 5] = [305, 310, 316, 321, 327];
/// Pieces of which the desk wants no more, either way; above, it only trades back.
const WANTED: i64 = 2_000_000;
/// Requests of a tier that is not configured.
const UNKNOWN_TIERS: i64 = 2;
/// Lines that are no record.
const GARBLED: usize = 2;

/// What a customer asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// As a customer who is known.
    Usual,
    /// From the street: the margin is larger than the bound.
    WalkIn,
    /// More than the desk may hold.
    TooMuch,
    /// While the feed is silent.
    InVain,
    /// As nobody who is known.
    UnknownTier,
}

pub(super) fn plant(world: &mut World) {
    world.garble(PRICING, GARBLED);
    let rate = |currency: &'static str| {
        let in_force = world.rates.range((currency, i64::MIN)..=(currency, SESSION_MS));
        in_force.last().map_or(0, |(_, rate)| *rate)
    };
    let (dollar, pound) = (rate("USD"), rate("GBP"));
    session(world, "EURUSD", dollar * 10, false);
    session(world, "GBPUSD", dollar * 1_000_000 / pound, true);
}

/// Markets of a product with what customers ask for. `mid` is in millionths.
fn session(world: &mut World, product: &str, mut mid: i64, falls_silent: bool) {
    let mut held = 0;
    for update in 0..UPDATES {
        let ts = SESSION_MS + update * EVERY_MS;
        mid += world.random.random_range(-200..201);
        if falls_silent && SILENT.contains(&update) {
            if ASKED_IN_VAIN.contains(&update) {
                ask(world, product, ts, Asked::InVain, &mut held);
            }
            continue;
        }
        let price = |units: i64| format!("{}.{:06}", units / 1_000_000, units % 1_000_000);
        let market = json!({ "bid": price(mid - 50), "ask": price(mid + 50) });
        send(world, product, ts, "market", market);
        let asked = match update {
            _ if update >= UPDATES - UNKNOWN_TIERS => Asked::UnknownTier,
            _ if world.random.random_bool(0.8) => continue,
            _ => match world.random.random_range(0..20) {
                0 | 1 => Asked::WalkIn,
                2 => Asked::TooMuch,
                _ => Asked::Usual,
            },
        };
        ask(world, product, ts, asked, &mut held);
    }
}

/// A request, and what the desk holds if the customer takes the quote.
fn ask(world: &mut World, product: &str, ts: i64, asked: Asked, held: &mut i64) {
    let is_sale = match held.abs() >= WANTED {
        true => *held < 0,
        false => world.random.random_bool(0.5),
    };
    let (tier, quantity) = match asked {
        Asked::WalkIn => ("walk_in", world.random.random_range(1..50) * 100),
        Asked::TooMuch => ("corporate", world.random.random_range(250_000..500_000) * 100),
        Asked::UnknownTier => ("friend", 1_000),
        Asked::Usual | Asked::InVain if world.random.random_bool(0.5) => {
            ("corporate", [250_000, 750_000, 1_000_000][world.random.random_range(0..3)])
        }
        Asked::Usual | Asked::InVain => ("retail", world.random.random_range(1..200) * 100),
    };
    let customer = world.random.random_range(0..world.people.len());
    let request = json!({
        "side": if is_sale { "sell" } else { "buy" },
        "quantity": quantity,
        "tier": tier,
        "customer": world.people[customer].id,
    });
    let id = send(world, product, ts + 500, "request", request);
    world.truth.add("PRICING requests", 1);
    match asked {
        Asked::WalkIn => world.truth.plant(BOUNDED, id),
        Asked::TooMuch => world.truth.plant(DECLINED, format!("{id} inventory_limit")),
        Asked::InVain => world.truth.plant(DECLINED, format!("{id} market_data_too_old")),
        Asked::UnknownTier => world.truth.add("PRICING refused", 1),
        Asked::Usual if world.random.random_bool(0.6) => {
            *held += if is_sale { quantity } else { -quantity };
            send(world, product, ts + 600, "inventory", json!({ "quantity": *held }));
        }
        Asked::Usual => {}
    }
}

/// Sends a record with these fields as well; gives its id.
fn send(world: &mut World, product: &str, ts: i64, kind: &str, mut record: Value) -> String {
    let id = world.id("q");
    record["id"] = json!(id);
    record["type"] = json!(kind);
    record["product"] = json!(product);
    record["ts"] = json!(ts);
    world.send(PRICING, ts, 0, &record);
    id
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let quotes = || outcome.of(PIPELINE, "quote");
    let reasons = |quote: &Value| quote["reasons"].as_array().cloned().unwrap_or_default();
    let bounded = quotes()
        .filter(|quote| reasons(quote).iter().any(|reason| reason["code"] == "bound"))
        .map(|quote| text(&quote["id"]));
    verdict.found(BOUNDED, &truth.planted(BOUNDED), &bounded.collect(), (100, 95));
    let declined = outcome
        .of(PIPELINE, "declined")
        .map(|declined| format!("{} {}", text(&declined["id"]), text(&declined["reason"])));
    verdict.found(DECLINED, &truth.planted(DECLINED), &declined.collect(), (100, 95));

    let refused = truth.total("PRICING refused");
    let answered = outcome.count(PIPELINE, "quote") + outcome.count(PIPELINE, "declined");
    let requests = truth.total("PRICING requests");
    verdict.equal("requests quoted, declined or refused", &(answered + refused), &requests);
    let millionths = |value: &Value| units(value, 6);
    let off = quotes().filter(|quote| {
        let (price, mid) = (millionths(&quote["price"]), millionths(&quote["mid"]));
        let effects: i128 = reasons(quote).iter().map(|reason| millionths(&reason["effect"])).sum();
        let is_bounded = (price - mid).abs() * 1_000 <= mid * 4;
        let amount = price * millionths(&quote["quantity"]) / 10_i128.pow(10);
        mid + effects != price || !is_bounded || amount != units(&quote["amount"], 2)
    });
    verdict.equal(
        "quotes out of bounds, or not the sum of their reasons, or with a wrong amount",
        &off.count(),
        &0,
    );
    verdict.equal("late markets", &outcome.count(PIPELINE, "late"), &0);
    let letters = outcome.letters(PIPELINE).len() as i128;
    let garbled = truth.total("PRICING garbled");
    verdict.equal("dead letters of dynamic-pricing", &letters, &(garbled + refused));
}
