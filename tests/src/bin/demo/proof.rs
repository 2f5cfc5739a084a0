//! The proof: every input has exactly its outputs, whatever happened meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use async_nats::jetstream::Context;
use serde_json::{Value, json};

use crate::feed::Feed;
use crate::fraud::Expected;
use crate::streams::{Output, read};

/// The `base` of the pipeline `credit-score`: everybody's first score.
const CREDIT_BASE: i64 = 600;
/// How many differences are shown of each kind.
const SHOWN_MAX: usize = 5;

/// One thing that was compared.
pub struct Finding {
    /// What it is about.
    pub what: String,
    /// What is wrong; empty if nothing is.
    pub wrong: Vec<String>,
}

/// Reads all outputs and compares them with what the inputs have to give.
pub async fn prove(jetstream: &Context, feed: &Feed, fraud: &Expected) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, output, expected) in [
        ("scores", Output::FraudScores, &fraud.scores),
        ("alerts", Output::FraudAlerts, &fraud.alerts),
        ("expired timers", Output::FraudExpired, &fraud.expired),
    ] {
        let found = read(jetstream, output).await?;
        let what = format!(
            "card-fraud: {} {name}, equal to those of the function in plain Rust",
            expected.len()
        );
        findings.push(multiset(what, expected.iter().cloned(), found));
    }

    let scores = read(jetstream, Output::CreditScores).await?;
    let ids = feed.credit.iter().map(|id| json!(id));
    findings.push(multiset(
        format!("credit-score: {} events, each with one score", feed.credit.len()),
        ids,
        scores.iter().map(|score| score["event_id"].clone()),
    ));
    findings.push(credit_chain(&scores, read(jetstream, Output::CreditBands).await?));

    let recommendations = read(jetstream, Output::Recommendations).await?;
    let id = |customer: &Value, ts: &Value, product: &Value| json!([customer, ts, product]);
    findings.push(multiset(
        format!("recommender: {} actions, each with one recommendation", feed.clicks.len()),
        feed.clicks.iter().map(|click| json!([click.customer_id, click.ts, click.product_id])),
        recommendations.iter().map(|r| id(&r["customer_id"], &r["ts"], &r["product_id"])),
    ));
    findings.push(never_owned(feed, &recommendations));
    Ok(findings)
}

/// Compares two multisets.
fn multiset(
    what: String,
    expected: impl IntoIterator<Item = Value>,
    found: impl IntoIterator<Item = Value>,
) -> Finding {
    let mut surplus: BTreeMap<String, i64> = BTreeMap::new();
    for found in found {
        *surplus.entry(found.to_string()).or_default() += 1;
    }
    for expected in expected {
        *surplus.entry(expected.to_string()).or_default() -= 1;
    }
    let wrong = surplus.into_iter().filter(|(_, surplus)| *surplus != 0);
    let wrong = wrong.map(|(line, surplus)| match surplus {
        1.. => format!("{surplus} too many: {line}"),
        _ => format!("{} missing: {line}", -surplus),
    });
    Finding { what, wrong: wrong.collect() }
}

/// Each score of a customer starts from the one before it, and every change of band was said once: no event was
/// counted twice and no state went back.
fn credit_chain(scores: &[Value], bands: Vec<Value>) -> Finding {
    let mut last: HashMap<&str, i64> = HashMap::new();
    let mut wrong = Vec::new();
    let mut expected = Vec::new();
    for line in scores {
        let customer = line["customer_id"].as_str().unwrap_or_default();
        let (score, change) = (line["score"].as_i64(), line["change"].as_i64());
        let (Some(score), Some(change)) = (score, change) else {
            wrong.push(format!("no score: {line}"));
            continue;
        };
        let before = last.insert(customer, score).unwrap_or(CREDIT_BASE);
        if score - change != before {
            wrong.push(format!("the score before was {before}: {line}"));
        }
        let (from, to) = (band(before), band(score));
        if from != to {
            expected.push(json!({
                "type": "band", "customer_id": customer, "ts": line["ts"], "score": score,
                "from": from, "to": to,
            }));
        }
    }
    let what = format!(
        "credit-score: {} customers' scores without a gap, {} changes of band",
        last.len(),
        expected.len()
    );
    wrong.extend(multiset(String::new(), expected, bands).wrong);
    Finding { what, wrong }
}

/// The UDF's names of ranges of scores.
fn band(score: i64) -> &'static str {
    match score {
        ..=579 => "poor",
        580..=669 => "fair",
        670..=739 => "good",
        740..=799 => "very_good",
        _ => "excellent",
    }
}

/// Nothing is recommended that the customer has bought, be it before the kill or the swap.
fn never_owned(feed: &Feed, recommendations: &[Value]) -> Finding {
    let by_ts: HashMap<i64, &Value> =
        recommendations.iter().filter_map(|r| Some((r["ts"].as_i64()?, r))).collect();
    let mut owned: HashSet<(&str, &str)> = HashSet::new();
    let mut wrong = Vec::new();
    for click in &feed.clicks {
        if click.bought {
            owned.insert((&click.customer_id, click.product_id));
        }
        let Some(recommendation) = by_ts.get(&click.ts) else { continue };
        for item in recommendation["items"].as_array().into_iter().flatten() {
            let product = item["product_id"].as_str().unwrap_or_default();
            if owned.contains(&(click.customer_id.as_str(), product)) {
                wrong.push(format!("{product} was bought before: {recommendation}"));
            }
        }
    }
    let what = format!("recommender: none of {} products that were bought", owned.len());
    Finding { what, wrong }
}

impl Finding {
    /// Prints it. Returns whether all is well.
    pub fn print(&self) -> bool {
        let well = self.wrong.is_empty();
        println!("  {}  {}", if well { "ok    " } else { "FAILED" }, self.what);
        for wrong in self.wrong.iter().take(SHOWN_MAX) {
            println!("          {wrong}");
        }
        if self.wrong.len() > SHOWN_MAX {
            println!("          and {} more", self.wrong.len() - SHOWN_MAX);
        }
        well
    }
}
