//! The streams of the demonstration: three that are read, and one for every kind of output.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Config;
use futures::StreamExt;
use serde_json::Value;

/// Sources, by the names that the manifests give them.
const SOURCES: [(&str, &str); 3] =
    [("CARDS", "cards.transactions.>"), ("CREDIT", "credit.events.>"), ("SHOP", "shop.actions.>")];

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of `card-fraud`.
    FraudScores,
    /// Of `card-fraud`.
    FraudAlerts,
    /// Of `card-fraud`.
    FraudExpired,
    /// Of `credit-score`.
    CreditScores,
    /// Of `credit-score`.
    CreditBands,
    /// Of `recommender`.
    Recommendations,
}

impl Output {
    /// All of them.
    pub const ALL: [Output; 6] = [
        Output::FraudScores,
        Output::FraudAlerts,
        Output::FraudExpired,
        Output::CreditScores,
        Output::CreditBands,
        Output::Recommendations,
    ];

    /// Name and subject of its stream.
    fn stream(self) -> (&'static str, &'static str) {
        match self {
            Output::FraudScores => ("FRAUD_SCORES", "fraud.scores"),
            Output::FraudAlerts => ("FRAUD_ALERTS", "fraud.alerts.*"),
            Output::FraudExpired => ("FRAUD_EXPIRED", "fraud.expired"),
            Output::CreditScores => ("CREDIT_SCORES", "scores.changes.*"),
            Output::CreditBands => ("CREDIT_BANDS", "scores.bands"),
            Output::Recommendations => ("RECOMMENDATIONS", "recommendations.*"),
        }
    }
}

/// Creates all streams.
pub async fn create(jetstream: &Context) -> Result<()> {
    for (name, subject) in SOURCES.into_iter().chain(Output::ALL.map(Output::stream)) {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            ..Config::default()
        };
        jetstream.create_stream(config).await.with_context(|| format!("create stream {name}"))?;
    }
    Ok(())
}

/// Outputs in a stream.
pub async fn count(jetstream: &Context, output: Output) -> Result<u64> {
    let stream = jetstream.get_stream(output.stream().0).await?;
    Ok(stream.cached_info().state.messages)
}

/// The newest output, if there is one.
pub async fn newest(jetstream: &Context, output: Output) -> Result<Option<Value>> {
    let stream = jetstream.get_stream(output.stream().0).await?;
    match stream.cached_info().state.last_sequence {
        0 => Ok(None),
        last => {
            let message = stream.get_raw_message(last).await?;
            Ok(Some(serde_json::from_slice(&message.payload)?))
        }
    }
}

/// All outputs, in the order in which they were published.
pub async fn read(jetstream: &Context, output: Output) -> Result<Vec<Value>> {
    let name = output.stream().0;
    let stream = jetstream.get_stream(name).await?;
    let stored = stream.cached_info().state.messages;
    let mut outputs = Vec::new();
    if stored == 0 {
        return Ok(outputs);
    }
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;
    while (outputs.len() as u64) < stored {
        let message = messages.next().await.with_context(|| format!("{name} ends early"))??;
        outputs.push(serde_json::from_slice(&message.payload)?);
    }
    let now = count(jetstream, output).await?;
    ensure!(now == stored, "{name} grew from {stored} to {now} while nothing runs");
    Ok(outputs)
}
