//! What must hold when a run is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::Context;
use millstream_control::api::Data;
use millstream_control::api::pipelines::{Get, Stop};
use millstream_control::api::state::{self, Content, ELEMENTS_MAX, KeyState};
use millstream_control::api::status::Phase;

use super::arena::{Arena, until};
use super::damage::incomplete;
use super::workload::{Account, PIPELINE, Record, SINKS, SOURCE, Sink, TOTALS, expected};

/// How long a cluster may take to answer, or to stop; and one of which is known already that it does not do what it should.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_WITH_BROKEN: Duration = Duration::from_secs(5);
/// Differences of one kind that are told.
const SHOWN: usize = 3;

/// Compares everything with the model of the records `0..numbers`, and says what differs.
pub async fn judge(arena: &Arena, seed: u64, numbers: u64, is_broken: bool) -> Vec<String> {
    let patience = if is_broken { PATIENCE_WITH_BROKEN } else { PATIENCE };
    let model = expected(seed, numbers);
    let mut complaints = Vec::new();
    let mut note = |what: &str, found: Result<Vec<String>>| match found {
        Ok(found) => complaints.extend(shortened(found)),
        Err(error) => complaints.push(format!("{what}: {error:#}")),
    };
    note("source", source(arena, seed, numbers).await);
    note("state", states(arena, &model, patience).await);
    note("stop", stop(arena, patience).await);
    for sink in SINKS {
        note(sink.name, outputs(arena, sink, numbers, &model).await);
    }
    note("dead letters", dead_letters(arena).await);
    note("log", logs(arena, patience).await);
    complaints
}

/// The first of some complaints, and how many more there are.
fn shortened(mut complaints: Vec<String>) -> Vec<String> {
    let more = complaints.len().saturating_sub(SHOWN);
    complaints.truncate(SHOWN);
    if more > 0 {
        complaints.push(format!("... and {more} more of the kind"));
    }
    complaints
}

async fn count(jetstream: &Context, stream: &str) -> Result<u64> {
    Ok(jetstream.get_stream(stream).await?.cached_info().state.messages)
}

/// The source holds what was published: else the model speaks of something else.
async fn source(arena: &Arena, seed: u64, numbers: u64) -> Result<Vec<String>> {
    let mut wanted: BTreeMap<u64, usize> =
        (0..numbers).map(|number| (number, Record::new(seed, number).copies)).collect();
    let count = count(&arena.jetstream(), SOURCE).await?;
    for (_, payload) in arena.broker.read_with_subjects(SOURCE, "", count as usize).await {
        let line: serde_json::Value = serde_json::from_slice(&payload)?;
        let number = line["n"].as_u64().context("a record has a number")?;
        match wanted.get_mut(&number) {
            Some(1) => {
                wanted.remove(&number);
            }
            Some(left) => *left -= 1,
            None => return Ok(vec![format!("the source holds record {number} too often")]),
        }
    }
    let lost: Vec<u64> = wanted.into_keys().collect();
    Ok((!lost.is_empty())
        .then(|| format!("the source has lost records {}", ranges(&lost)))
        .into_iter()
        .collect())
}

/// Ascending numbers, as `3-5, 9`.
fn ranges(numbers: &[u64]) -> String {
    let stretches = numbers.chunk_by(|a, b| a + 1 == *b);
    let shown = stretches.map(|stretch| match stretch {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

async fn states(
    arena: &Arena,
    model: &BTreeMap<String, Account>,
    patience: Duration,
) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (key, account) in model {
        let request = state::Get {
            pipeline: PIPELINE.to_owned(),
            stage: Some(TOTALS.to_owned()),
            key: Data(key.clone().into_bytes()),
        };
        let get = async || arena.call(&request).await.ok();
        let found = until("state is read", patience, get).await?;
        complaints
            .extend(differences(&found, account).map(|what| format!("state of {key}: {what}")));
    }
    Ok(complaints)
}

/// What of a key's state is not as the model has it.
fn differences<'a>(found: &'a KeyState, account: &'a Account) -> impl Iterator<Item = String> + 'a {
    let expected = |name: &str| match name {
        "sum" => Some(Content::Value(integer(account.sum))),
        "last" => account.amounts.last().map(|cents| Content::Value(integer(*cents))),
        "recent" => {
            let first = account.amounts.iter().take(ELEMENTS_MAX);
            Some(Content::List(first.map(|cents| integer(*cents)).collect()))
        }
        _ => None,
    };
    let wrong = found.states.iter().filter_map(move |state| {
        let content = expected(&state.name)?;
        let (found, wanted) = (shown(&state.content), shown(&content));
        (content != state.content).then(|| format!("`{}` is {found}, not {wanted}", state.name))
    });
    let categories = found.states.iter().find_map(|state| match &state.content {
        Content::Map(entries) if state.name == "categories" => Some(entries.len()),
        _ => None,
    });
    let has_all = found.states.len() == 4 && categories == Some(account.categories.len());
    wrong.chain((!has_all).then(|| "states or categories are missing".to_owned()))
}

/// The end of a state's content: what differs is there, as a rule.
fn shown(content: &Content) -> String {
    match content {
        Content::Value(value) => format!("{:?}", value.0),
        Content::List(list) => format!("{} elements, the last {:?}", list.len(), list.last()),
        Content::Map(entries) => format!("{} entries", entries.len()),
    }
}

/// An integer as states hold it: the state's version, and a zigzag varint.
fn integer(value: i64) -> Data {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = vec![1];
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    Data(bytes)
}

/// Stops the pipeline when it has processed and published everything: what is too much would come until then.
async fn stop(arena: &Arena, patience: Duration) -> Result<Vec<String>> {
    let by = "faults".to_owned();
    let request = Stop { pipeline: PIPELINE.to_owned(), drain: true, by };
    until("a stop is taken", patience, async || arena.call(&request).await.ok()).await?;
    let stopped = async || {
        let info = arena.call(&Get { pipeline: PIPELINE.to_owned() }).await.ok()?;
        info.status.is_none_or(|status| status.phase == Phase::Stopped).then_some(())
    };
    until("the pipeline is drained", patience, stopped).await?;
    Ok(Vec::new())
}

/// Compares what is in a sink with the model.
async fn outputs(
    arena: &Arena,
    sink: Sink,
    numbers: u64,
    model: &BTreeMap<String, Account>,
) -> Result<Vec<String>> {
    // Beside outputs there may be cursor records.
    let count = arena.broker.count_on(sink.stream, &sink.subjects()).await;
    let records = arena.broker.read_with_subjects(sink.stream, &sink.subjects(), count).await;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut missing: BTreeSet<u64> = (0..numbers).collect();
    for (subject, payload) in records {
        let key = sink.key(&subject).context("an output has a key")?.to_owned();
        let output: serde_json::Value = serde_json::from_slice(&payload)?;
        let number = output["txn_id"].as_str().and_then(|id| id.strip_prefix('t')?.parse().ok());
        missing.remove(&number.context("an output names its record")?);
        found.entry(key).or_default().push(String::from_utf8_lossy(&payload).into_owned());
    }
    let keys = model.keys().chain(found.keys()).collect::<BTreeSet<_>>();
    let (none, nothing) = (Vec::new(), Account::default());
    let mut complaints = Vec::new();
    if !missing.is_empty() {
        let missing: Vec<u64> = missing.into_iter().collect();
        let (sink, missing) = (sink.name, ranges(&missing));
        complaints.push(format!("{sink}: there are no outputs of records {missing}"));
    }
    for key in keys {
        let found = found.get(key).unwrap_or(&none);
        let wanted = &model.get(key).unwrap_or(&nothing).outputs;
        if found != wanted {
            let place = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
            let place = place.unwrap_or(found.len().min(wanted.len()));
            let at = |of: &[String]| of.get(place).map_or("nothing", |line| line).to_owned();
            complaints.push(format!(
                "{}: outputs of {key}: {} found, {} expected; number {place} is {}, not {}",
                sink.name,
                found.len(),
                wanted.len(),
                at(found),
                at(wanted)
            ));
        }
    }
    Ok(complaints)
}

async fn dead_letters(arena: &Arena) -> Result<Vec<String>> {
    let found = count(&arena.jetstream(), "MILLSTREAM_DLQ").await?;
    Ok((found > 0).then(|| format!("{found} dead letters")).into_iter().collect())
}

/// Reads the logs of all lives to their ends, and says what is wrong with what was read at any time.
async fn logs(arena: &Arena, patience: Duration) -> Result<Vec<String>> {
    let all_seen = async || {
        arena.lives.look().await.ok()?;
        for (log, chain) in arena.lives.chains() {
            let stream = arena.jetstream().get_stream(&log).await.ok()?;
            if chain.last_sequence < stream.cached_info().state.last_sequence {
                return None;
            }
        }
        Some(())
    };
    until("the logs are read to their ends", patience, all_seen).await?;
    let mut complaints = arena.lives.violations();
    // Whatever the function makes of a record that it gets twice: it gets none twice.
    let (applied, is_all) = arena.lives.applied();
    let there = count(&arena.jetstream(), SOURCE).await?;
    if applied > there || is_all && applied < there {
        complaints.push(format!("{applied} records were applied, the source has {there}"));
    }
    Ok(complaints)
}

/// What is wrong with the checkpoints in the store, which nobody has damaged.
pub fn checkpoints(arena: &Arena) -> Vec<String> {
    shortened(incomplete(&arena.store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascending_numbers_are_told_as_stretches() {
        assert_eq!(ranges(&[3, 4, 5, 9, 11]), "3-5, 9, 11");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn integers_are_zigzag_varints() {
        assert_eq!(integer(0), Data(vec![1, 0]));
        assert_eq!(integer(-1), Data(vec![1, 1]));
        assert_eq!(integer(150), Data(vec![1, 0xac, 0x02]));
    }
}
