//! What the demonstration feeds: a seeded day of cards, credit and clicks, and its publication at a steady pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Event time of the first record, in milliseconds since 1970 UTC.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// Records a second, in the order of [`SUBJECTS`].
const RATES: [usize; 3] = [1_500, 150, 300];
/// Where each kind of record goes.
const SUBJECTS: [&str; 3] = ["cards.transactions.eu", "credit.events.web", "shop.actions.web"];
/// Publishes that wait for their acknowledgement at a time.
const IN_FLIGHT: usize = 1_000;
/// How often what is due is published.
const TICK: Duration = Duration::from_millis(20);

/// Event time between two card transactions: half a minute passes in a second.
const CARD_STEP_MS: i64 = 20;
/// Span of event time of all credit events: short of the silence after which a score is given out again.
const CREDIT_SPAN_MS: i64 = 20 * 24 * 3_600_000;
/// Event time between two actions in the shop.
const CLICK_STEP_MS: i64 = 200;
/// Behind all timers of the card transactions.
const CLOSING_MS: i64 = 600_000;

/// Products by category. The first ones of `camping` are in the pipeline's catalogue; nobody buys those, so that
/// every action leaves something to recommend.
const CAMPING: [&str; 7] =
    ["tent-2p", "stove", "lamp", "sleeping-bag", "mug", "hammock", "water-filter"];
/// How many of [`CAMPING`] nobody buys.
const NOT_BOUGHT: usize = 3;

/// A card transaction.
pub struct Card {
    /// Unique.
    pub txn_id: String,
    /// The key.
    pub account_id: String,
    /// In the currency's unit.
    pub amount: f64,
    /// Milliseconds since 1970 UTC; not in order.
    pub ts: i64,
}

/// An action in the shop.
pub struct Click {
    /// The key.
    pub customer_id: String,
    /// What was looked at, put into the cart or bought.
    pub product_id: &'static str,
    /// Whether it was bought.
    pub bought: bool,
    /// Milliseconds since 1970 UTC; unique.
    pub ts: i64,
}

/// All records, in the order in which they are published.
pub struct Feed {
    /// To the stream `CARDS`. The last one comes long after all others, so that every timer of theirs fires.
    pub cards: Vec<Card>,
    /// Unique ids of the events in the stream `CREDIT`.
    pub credit: Vec<String>,
    /// To the stream `SHOP`.
    pub clicks: Vec<Click>,
    payloads: [Vec<String>; 3],
}

impl Feed {
    /// The same for the same seed.
    pub fn new(seed: u64, seconds: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let cards = cards(&mut random, seconds * RATES[0]);
        let card_lines = cards.iter().map(|card| {
            let Card { txn_id, account_id, amount, ts } = card;
            json!({ "txn_id": txn_id, "account_id": account_id, "amount": amount, "ts": ts })
        });
        let (credit, credit_lines) = credit(&mut random, seconds * RATES[1]);
        let (clicks, click_lines) = clicks(&mut random, seconds * RATES[2]);
        let payloads =
            [card_lines.map(|line| line.to_string()).collect(), credit_lines, click_lines];
        Self { cards, credit, clicks, payloads }
    }

    /// Publishes everything, each kind at its rate. `published` counts, by kind, what the server has acknowledged.
    pub async fn publish(
        self: Arc<Self>,
        jetstream: Context,
        published: Arc<[AtomicU64; 3]>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = [0; 3];
        let mut waiting = FuturesOrdered::new();
        while (0..3).any(|kind| next[kind] < self.payloads[kind].len()) {
            ticks.tick().await;
            for kind in 0..3 {
                let due = (start.elapsed().as_secs_f64() * RATES[kind] as f64) as usize;
                for index in next[kind]..due.min(self.payloads[kind].len()) {
                    let payload = self.payloads[kind][index].clone();
                    let sent = jetstream.publish(SUBJECTS[kind], payload.into()).await?;
                    waiting.push_back(stored(sent, index, kind));
                    next[kind] = index + 1;
                    if waiting.len() == IN_FLIGHT {
                        count(waiting.next().await, &published)?;
                    }
                }
            }
            // What is not answered by the next tick is counted then.
            while let Ok(Some(kind)) = tokio::time::timeout(TICK / 4, waiting.next()).await {
                count(Some(kind), &published)?;
            }
        }
        while let Some(kind) = waiting.next().await {
            count(Some(kind), &published)?;
        }
        Ok(())
    }
}

/// Waits until a record is stored, in its place. Returns its kind.
async fn stored(sent: PublishAckFuture, index: usize, kind: usize) -> Result<usize> {
    let ack = sent.await.with_context(|| format!("publish to {}", SUBJECTS[kind]))?;
    ensure!(
        ack.sequence == index as u64 + 1,
        "record {} of {} was stored at {}: somebody else writes there",
        index + 1,
        ack.stream,
        ack.sequence
    );
    Ok(kind)
}

fn count(kind: Option<Result<usize>>, published: &[AtomicU64; 3]) -> Result<()> {
    if let Some(kind) = kind {
        published[kind?].fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Everyday amounts, now and then a very small one, and after some of those a large one. One record in a hundred is
/// late by up to 30 s of event time.
fn cards(random: &mut StdRng, count: usize) -> Vec<Card> {
    let mut followed = BTreeMap::new();
    let mut cards = Vec::with_capacity(count + 1);
    for index in 0..count {
        let (account, cents) = match followed.remove(&index) {
            Some(account) => (account, random.random_range(50_001..400_000)),
            None => {
                let account = random.random_range(0..3_000);
                let cents = match random.random_range(0..100) {
                    0..2 => random.random_range(5..100),
                    2..4 => random.random_range(50_000..150_000),
                    _ => random.random_range(100..20_000),
                };
                if cents < 100 && random.random_bool(0.6) {
                    followed.insert(index + random.random_range(250..3_500), account);
                }
                (account, cents)
            }
        };
        let late = match random.random_range(0..100) {
            0 => random.random_range(0..30_000),
            _ => random.random_range(0..1_500),
        };
        cards.push(Card {
            txn_id: format!("t{index}"),
            account_id: format!("account-{account}"),
            amount: f64::from(cents) / 100.0,
            ts: EPOCH_MS + index as i64 * CARD_STEP_MS - late,
        });
    }
    cards.push(Card {
        txn_id: "closing".to_owned(),
        account_id: "closing".to_owned(),
        amount: 10.0,
        ts: EPOCH_MS + count as i64 * CARD_STEP_MS + CLOSING_MS,
    });
    cards
}

/// Ids and lines of credit events.
fn credit(random: &mut StdRng, count: usize) -> (Vec<String>, Vec<String>) {
    let step_ms = CREDIT_SPAN_MS / count.max(1) as i64;
    let event = |index| {
        let id = format!("e{index}");
        let customer = format!("customer-{}", random.random_range(0..300));
        let ts = EPOCH_MS + index as i64 * step_ms;
        let due = random.random_range(50..900);
        let line = match random.random_range(0..10) {
            0 => json!({ "type": "enquiry" }),
            1 => json!({ "type": "missed_payment", "days_late": random.random_range(1..95) }),
            2..6 => {
                json!({ "type": "utilisation", "balance": random.random_range(0..due), "limit": due })
            }
            _ => json!({ "type": "repayment", "amount": due, "due": due }),
        };
        let mut line = line;
        line["event_id"] = json!(id);
        line["customer_id"] = json!(customer);
        line["ts"] = json!(ts);
        (id, line.to_string())
    };
    (0..count).map(event).unzip()
}

/// Actions and their lines.
fn clicks(random: &mut StdRng, count: usize) -> (Vec<Click>, Vec<String>) {
    let action = |index| {
        let product = random.random_range(0..CAMPING.len());
        let kind = match random.random_range(0..20) {
            0 if product >= NOT_BOUGHT => "purchase",
            0..4 => "cart",
            _ => "view",
        };
        let click = Click {
            customer_id: format!("customer-{}", random.random_range(0..250)),
            product_id: CAMPING[product],
            bought: kind == "purchase",
            ts: EPOCH_MS + index as i64 * CLICK_STEP_MS,
        };
        let line = json!({
            "type": kind,
            "customer_id": click.customer_id,
            "product_id": click.product_id,
            "category": "camping",
            "ts": click.ts,
        });
        (click, line.to_string())
    };
    (0..count).map(action).unzip()
}
