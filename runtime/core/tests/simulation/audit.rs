//! What must be true when all is over.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::commit::CommitKind;
use millstream_core::ids::{SourceId, key_hash, partition_of};
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::recovery::Chain;

use crate::owner::Life;
use crate::reference::{EXPIRED, Published, RESULT, Reference, sink_of};
use crate::world::World;

pub fn audit(world: &World) -> Result<(), String> {
    if let Some(stale) = world.log.stale_writes.first() {
        return Err(format!("the log accepted a stale write: {stale:?}"));
    }
    let records = world.source.history.iter().filter(|(_, record)| !record.excluded);
    let reference = Reference::run(records.map(|(sequence, record)| (*sequence, record)));
    let mut logged = Published::default();
    for partition in 0..world.plan.partitions {
        audit_log(world, partition, &mut logged)?;
    }
    audit_sinks(world, &reference, &logged)?;
    for partition in 0..world.plan.partitions {
        audit_state(world, partition, &reference)?;
    }
    Ok(())
}

/// Every record ever accepted is one history, and none of them steps back.
fn audit_log(world: &World, partition: u16, logged: &mut Published) -> Result<(), String> {
    let Some(history) = world.log.history.get(&partition) else {
        return Err(format!("partition {partition} has no log"));
    };
    let mut chain = Chain::new(world.pipeline);
    let mut before = (0, i64::MIN, 0);
    for stored in history {
        let (record, point) = chain
            .accept(stored)
            .map_err(|incident| format!("partition {partition}: {incident}"))?;
        let slice = &record.slice;
        let position = slice.position(SourceId(0)).map_or(0, |position| position.sequence.0);
        let now = (slice.processing_time, slice.watermark, position);
        if now.0 < before.0 || now.1 < before.1 || now.2 < before.2 {
            return Err(format!(
                "partition {partition}, commit {}: {now:?} follows {before:?}",
                point.number.0
            ));
        }
        before = now;
        if record.header.kind == CommitKind::Takeover
            && !(slice.delta.is_empty() && slice.outputs.is_empty())
        {
            return Err(format!(
                "partition {partition}, commit {}: a takeover with effects",
                point.number.0
            ));
        }
        let outputs = slice.outputs.clone().freeze();
        for item in outputs.iter() {
            if ![RESULT, EXPIRED, DEAD_LETTER].contains(&item.output) {
                return Err(format!("unknown output {}", item.output));
            }
            let key = outputs.slice(item.key.clone()).to_vec();
            let payload = outputs.slice(item.payload.clone()).to_vec();
            logged[sink_of(item.output)].entry(key).or_default().push(payload);
        }
    }
    if !world.incidents.contains_key(&partition) && before.2 != world.source.last {
        return Err(format!(
            "partition {partition} read {} of {} records",
            before.2, world.source.last
        ));
    }
    Ok(())
}

/// The sinks hold what the reference published, per key in its order, each once.
fn audit_sinks(world: &World, reference: &Reference, logged: &Published) -> Result<(), String> {
    for (index, sink) in world.sinks.iter().enumerate() {
        let mut ids = BTreeSet::new();
        let mut found: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for message in &sink.messages {
            if !ids.insert(&message.id) {
                return Err(format!("sink {index} has {} twice", message.id));
            }
            found.entry(message.key.to_vec()).or_default().push(message.payload.to_vec());
        }
        let keys: BTreeSet<_> = found.keys().chain(reference.published[index].keys()).collect();
        for key in keys {
            let partition = partition_of(key_hash(key), world.plan.partitions);
            let found = found.get(key).map_or(&[][..], Vec::as_slice);
            let logged = logged[index].get(key).map_or(&[][..], Vec::as_slice);
            let mut expected = reference.published[index].get(key).map_or(&[][..], Vec::as_slice);
            if world.incidents.contains_key(&partition) {
                // It stopped somewhere, so it published the beginning.
                if !expected.starts_with(logged) {
                    return Err(differ(index, key, "log", expected, logged));
                }
                expected = &expected[..found.len().min(expected.len())];
            } else if logged != expected {
                return Err(differ(index, key, "log", expected, logged));
            }
            if found != expected {
                return Err(differ(index, key, "sink", expected, found));
            }
        }
    }
    Ok(())
}

fn differ(sink: usize, key: &[u8], place: &str, expected: &[Vec<u8>], found: &[Vec<u8>]) -> String {
    let text = |list: &[Vec<u8>]| {
        list.iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect::<Vec<_>>()
    };
    let key = String::from_utf8_lossy(key);
    format!("sink {sink}, {key}: the {place} has {:?} instead of {:?}", text(found), text(expected))
}

/// The owner that recovered last, on an empty node, has the state of the reference.
fn audit_state(world: &World, partition: u16, reference: &Reference) -> Result<(), String> {
    if world.incidents.contains_key(&partition) {
        return Ok(());
    }
    let owner = world
        .owners
        .iter()
        .rev()
        .find(|owner| owner.partition == partition && owner.life == Life::Awake);
    let Some(owner) = owner else {
        return Err(format!("partition {partition} has no owner at the end"));
    };
    let operator = owner.machine.operator();
    let found = operator.state();
    let expected: BTreeMap<_, _> = (reference.state.iter())
        .filter(|(key, _)| partition_of(key_hash(key), world.plan.partitions) == partition)
        .map(|(key, state)| (key.clone(), state.clone()))
        .collect();
    if found != expected {
        return Err(format!("partition {partition}: state {found:?} instead of {expected:?}"));
    }
    if !operator.timers_match() {
        return Err(format!("partition {partition}: the timer queue differs from the state"));
    }
    Ok(())
}
