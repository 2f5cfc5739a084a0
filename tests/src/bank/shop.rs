//! The bank's shop of offers: what customers look at and buy, read by `behavior-analytics` and `recommender`. Planted: customers whose
//! preferences drift, and products that are looked at together.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use serde_json::json;

use super::outcome::{Outcome, integer, text};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{CLOSING, CLOSING_MS, DAYS, MINUTE_MS, World};

/// The stream.
const SHOP: &str = "SHOP";
/// The pipelines.
const BEHAVIOR: &str = "behavior-analytics";
const RECOMMENDER: &str = "recommender";

/// Customers whose preferences drift; customers who look at two products together again and again.
const DRIFTED: usize = 10;
const PAIRED: usize = 10;
/// From this day on they like something else.
const DRIFTED_FROM: i64 = 40;
/// How often a customer is there on a day: most, and those who are watched.
const VISITS_PER_DAY: [f64; 2] = [0.12, 0.6];
/// Categories, and products of each.
const CATEGORIES: [&str; 5] = ["travel", "home", "garden", "books", "music"];
const PRODUCTS: usize = 12;
/// Actions arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 8_000;
/// Lines that are no record.
const GARBLED: usize = 4;

/// Somebody is in the shop.
struct Visit<'a> {
    customer: &'a str,
    ts: i64,
}

impl Visit<'_> {
    /// An action, up to two minutes behind the one before.
    fn does(&mut self, world: &mut World, kind: &str, product: usize, category: &str) {
        self.ts += world.random.random_range(5_000..2 * MINUTE_MS);
        let product = format!("{category}{product}");
        let mut record = json!({
            "type": kind,
            "customer_id": self.customer,
            "product_id": product,
            "category": category,
            "ts": self.ts,
        });
        if kind == "purchase" {
            let minor = world.random.random_range(500..20_000);
            record["amount_minor"] = json!(minor);
            record["currency"] = json!("EUR");
            world.truth.add(format!("SHOP minor {}", self.customer), minor);
            let bought = format!("{} {product}", self.customer);
            world.truth.member(RECOMMENDER, format!("{bought} {}", self.ts), bought);
        }
        world.send(SHOP, self.ts, DELAY_MS, &record);
        world.truth.add("SHOP records", i64::from(self.customer != CLOSING));
    }
}

pub(super) fn plant(world: &mut World) {
    world.garble(SHOP, GARBLED);
    let people = world.people.clone();
    let drifted: Vec<String> = (0..DRIFTED).map(|_| world.actor().id).collect();
    let paired: Vec<String> = (0..PAIRED).map(|_| world.actor().id).collect();
    for customer in &people {
        let favourite = world.random.random_range(0..CATEGORIES.len());
        let drifts = drifted.contains(&customer.id);
        let pairs = paired.contains(&customer.id);
        for day in 0..DAYS - 2 {
            if !world.random.random_bool(VISITS_PER_DAY[usize::from(drifts || pairs)]) {
                continue;
            }
            let liked = match drifts && day >= DRIFTED_FROM {
                true => (favourite + 2) % CATEGORIES.len(),
                false => favourite,
            };
            let mut visit = Visit { customer: &customer.id, ts: world.moment(day) };
            if pairs {
                for product in [0, 1] {
                    visit.does(world, "view", product, CATEGORIES[liked]);
                }
            }
            for _ in 0..world.random.random_range(1..5) {
                let category = match world.random.random_bool(0.85) {
                    true => liked,
                    false => world.random.random_range(0..CATEGORIES.len()),
                };
                let product = world.random.random_range(2..PRODUCTS);
                let kind = match world.random.random_range(0..20) {
                    0 => "purchase",
                    1..4 => "cart",
                    _ => "view",
                };
                visit.does(world, kind, product, CATEGORIES[category]);
            }
        }
        if drifts {
            world.truth.plant(BEHAVIOR, &customer.id);
        }
        if pairs {
            // At the end the first of the two alone.
            let mut visit = Visit { customer: &customer.id, ts: world.moment(DAYS - 1) };
            visit.does(world, "view", 0, CATEGORIES[favourite]);
            let wanted = format!("{} {}1", customer.id, CATEGORIES[favourite]);
            world.truth.plant(RECOMMENDER, wanted);
        }
    }
    let mut visit = Visit { customer: CLOSING, ts: CLOSING_MS };
    visit.does(world, "view", 0, CLOSING);
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let drifted =
        outcome.of(BEHAVIOR, "drift").filter(|drift| drift["reason"] == "preferences_drifted");
    let drifted = drifted.map(|drift| text(&drift["customer_id"])).collect();
    verdict.found(BEHAVIOR, &truth.planted(BEHAVIOR), &drifted, (80, 60));
    // The last profile of a customer holds all purchases; it is the one with the most.
    let mut minor = BTreeMap::new();
    for profile in outcome.of(BEHAVIOR, "profile") {
        let total = minor.entry(text(&profile["customer_id"])).or_default();
        *total = integer(&profile["total_minor"]).max(*total);
    }
    verdict.equal("minor units bought by customer", &minor, &truth.totals("SHOP minor "));
    let actions = outcome.of(BEHAVIOR, "session").map(|session| integer(&session["actions"]));
    let actions = actions.sum::<i128>() + outcome.count(BEHAVIOR, "late");
    verdict.equal("actions of sessions", &actions, &truth.total("SHOP records"));
    for pipeline in [BEHAVIOR, RECOMMENDER] {
        let letters = outcome.letters(pipeline).len() as i128;
        verdict.equal(
            &format!("dead letters of {pipeline}"),
            &letters,
            &truth.total("SHOP garbled"),
        );
    }
    recommended(truth, outcome, verdict);
}

/// The best of a customer's last recommendation, and that nothing is recommended which was bought.
fn recommended(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let mut last = BTreeMap::new();
    let mut bought: BTreeSet<String> = BTreeSet::new();
    let mut again = 0;
    for recommendation in outcome.of(RECOMMENDER, "recommendation") {
        let customer = text(&recommendation["customer_id"]);
        let of = |product: String| format!("{customer} {product}");
        let items = recommendation["items"].as_array().into_iter().flatten();
        let items: Vec<String> = items.map(|item| of(text(&item["product_id"]))).collect();
        let at_hand = of(text(&recommendation["product_id"]));
        // Only purchases are known by customer, product and time.
        if truth.owner(RECOMMENDER, &format!("{at_hand} {}", recommendation["ts"])) == at_hand {
            bought.insert(at_hand);
        }
        again += items.iter().filter(|item| bought.contains(*item)).count();
        last.insert(customer, items.into_iter().next());
    }
    verdict.equal("recommendations of what was bought", &again, &0);
    let planted = truth.planted(RECOMMENDER);
    // Of customers of whom nothing was planted, nothing is known to be right or wrong.
    let watched =
        |customer: &str| planted.iter().any(|wanted| wanted.starts_with(&format!("{customer} ")));
    let found =
        last.into_iter().filter(|(customer, _)| watched(customer)).filter_map(|(_, best)| best);
    verdict.found(RECOMMENDER, &planted, &found.collect(), (70, 70));
}
