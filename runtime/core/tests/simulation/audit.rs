//! What must be true when all is over.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::commit::CommitKind;
use millstream_core::exchange::{Ordering, Place, UpstreamPosition};
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::recovery::Chain;
use millstream_core::slice::Slice;

use crate::owner::Life;
use crate::reference::{EXPIRED, Published, RESULT, Reference, sink_of};
use crate::topology::{From, Job};
use crate::world::World;

pub fn audit(world: &World) -> Result<(), String> {
    if let Some(stale) = world.log.stale_writes.first() {
        return Err(format!("the log accepted a stale write: {stale:?}"));
    }
    let topology = world.current();
    let records = world.source.history.iter().map(|(_, record)| record);
    let references = Reference::run_all(topology, records.filter(|record| !record.excluded));
    let mut logged = vec![Published::default(); topology.stages.len()];
    let mut applied = vec![BTreeMap::new(); topology.stages.len()];
    for life in 0..world.lives.count() {
        let lanes = world.lives.life(life).topology.all();
        if !world.records.iter().any(|recorded| recorded.life == life) {
            audit_unused(world, lanes)?;
            continue;
        }
        for lane in lanes {
            let (stage, _) = world.lives.topology(lane).at(lane);
            let of_stage = (&mut logged[stage], &mut applied[stage]);
            audit_log(world, lane, &references[stage], of_stage)?;
        }
    }
    for (stage, reference) in references.iter().enumerate() {
        audit_applied(world, stage, reference, &applied[stage])?;
    }
    audit_sinks(world, &references, &logged)?;
    for lane in topology.all() {
        audit_state(world, lane, &references[topology.at(lane).0])?;
    }
    audit_assignments(world)
}

/// No node went back to an assignment that it had left.
fn audit_assignments(world: &World) -> Result<(), String> {
    let mut latest = BTreeMap::new();
    for &(node, incarnation, epoch) in world.cluster.iter().flat_map(|cluster| &cluster.starts) {
        let before = latest.insert((node, incarnation), epoch);
        if before > Some(epoch) {
            return Err(format!(
                "node {node} started a lane by the assignment {epoch} after {before:?}"
            ));
        }
    }
    Ok(())
}

/// A life that was made and never recorded was never run: each of its lanes has its seed at most.
fn audit_unused(world: &World, lanes: std::ops::Range<u16>) -> Result<(), String> {
    for lane in lanes {
        let records = world.log.history.get(&lane).map_or(0, Vec::len);
        if records > 1 {
            return Err(format!("lane {lane} of a life that was never recorded ran"));
        }
    }
    Ok(())
}

/// Records applied by a stage, per input and lane; all lives together applied each once.
type Applied = BTreeMap<(SourceId, u16), u64>;

fn audit_applied(
    world: &World,
    stage: usize,
    reference: &Reference,
    applied: &Applied,
) -> Result<(), String> {
    if !world.incidents.is_empty() {
        return Ok(());
    }
    for (source, records) in (0..).zip(&reference.records) {
        let of_source = applied.iter().filter(|((of, _), _)| *of == SourceId(source));
        let (found, expected) = (of_source.map(|(_, count)| count).sum::<u64>(), records.len());
        if found != expected as u64 {
            return Err(format!("stage {stage} applied {found} of {expected} records of {source}"));
        }
    }
    Ok(())
}

/// What commits of one lane have come to.
#[derive(Debug)]
struct Reached {
    processing_time: i64,
    watermark: i64,
    frontier: i64,
    /// Per source the sequence and the highest event time.
    positions: BTreeMap<SourceId, (Sequence, i64)>,
    /// Per source and upstream partition, what is applied and the anchor.
    done: BTreeMap<(SourceId, u16), (Place, Place)>,
    /// Records applied, per source.
    applied: BTreeMap<SourceId, u64>,
}

impl Default for Reached {
    fn default() -> Self {
        Self {
            processing_time: 0,
            watermark: i64::MIN,
            frontier: i64::MIN,
            positions: BTreeMap::new(),
            done: BTreeMap::new(),
            applied: BTreeMap::new(),
        }
    }
}

impl Reached {
    /// Takes the next commit of a lane whose sources have this ordering; says what steps back.
    fn take(
        &mut self,
        slice: &Slice,
        ordering: impl Fn(SourceId) -> Ordering,
    ) -> Result<(), String> {
        let steps_back = |what: String| Err(format!("{what} steps back"));
        if slice.processing_time < self.processing_time {
            return steps_back("processing time".into());
        }
        if slice.watermark < self.watermark {
            return steps_back(format!("the watermark {}", self.watermark));
        }
        (self.processing_time, self.watermark) = (slice.processing_time, slice.watermark);
        if let Some(exchange) = &slice.exchange {
            if exchange.frontier < self.frontier {
                return steps_back(format!("the frontier {}", self.frontier));
            }
            self.frontier = exchange.frontier;
        }
        for position in &slice.positions {
            let now = (position.sequence, position.max_event_time);
            let before = self.positions.insert(position.source, now);
            // By time, numbers are not those of before a restart.
            let numbered = ordering(position.source) == Ordering::Sequence;
            if before.is_some_and(|b| (numbered && now.0 < b.0) || now.1 < b.1) {
                return steps_back(format!("the position {before:?} of {:?}", position.source));
            }
        }
        for UpstreamPosition { source, partition, done, anchor } in &slice.upstream {
            let before = self.done.insert((*source, *partition), (*done, *anchor));
            if before.is_some_and(|before| *done < before.0 || *anchor < before.1) || anchor > done
            {
                return steps_back(format!("the place {before:?} of {source:?} {partition}"));
            }
        }
        for run in &slice.runs {
            *self.applied.entry(run.source).or_default() += u64::from(run.count);
        }
        Ok(())
    }
}

/// Every record ever accepted is one history, none of them steps back, and together they applied every input once.
fn audit_log(
    world: &World,
    lane: u16,
    reference: &Reference,
    (logged, applied): (&mut Published, &mut Applied),
) -> Result<(), String> {
    let Some(history) = world.log.history.get(&lane) else {
        return Err(format!("lane {lane} has no log"));
    };
    let mut chain = Chain::new(world.lives.pipeline(lane));
    let mut reached = Reached::default();
    let topology = world.lives.topology(lane);
    let (stage, _) = topology.at(lane);
    let ordering = |source: SourceId| match topology.stages[stage].inputs[usize::from(source.0)] {
        From::Source => Ordering::Sequence,
        From::Stage { stage, .. } => topology.ordering(stage),
    };
    for stored in history {
        let (record, point) =
            chain.accept(stored).map_err(|incident| format!("lane {lane}: {incident}"))?;
        let of = |what: String| format!("lane {lane}, commit {}: {what}", point.number.0);
        let slice = record.slice;
        reached.take(&slice, ordering).map_err(of)?;
        if record.header.kind == CommitKind::Takeover
            && !(slice.delta.is_empty() && slice.outputs.is_empty())
        {
            return Err(of("a takeover with effects".into()));
        }
        let outputs = slice.outputs.freeze();
        for item in outputs.iter() {
            if ![RESULT, EXPIRED, DEAD_LETTER].contains(&item.output) {
                return Err(of(format!("unknown output {}", item.output)));
            }
            let key = outputs.bytes(item.key).to_vec();
            let payload = outputs.bytes(item.payload).to_vec();
            logged[sink_of(item.output)].entry(key).or_default().push(payload);
        }
    }
    for (source, count) in &reached.applied {
        applied.insert((*source, lane), *count);
    }
    if world.incidents.contains_key(&lane) || !world.current().all().contains(&lane) {
        return Ok(());
    }
    let read = reached.positions.get(&SourceId(0)).map_or(0, |position| position.0.0);
    if topology.reads_source(lane) && read != world.source.last {
        return Err(format!("lane {lane} read {read} of {} records", world.source.last));
    }
    // A lane that goes on from another life's has applied fewer.
    let is_first = world.records.iter().all(|recorded| recorded.life == 0);
    for (source, records) in reference.records.iter().enumerate().filter(|_| is_first) {
        let own = records.iter().filter(|record| topology.owner_of(stage, &record.key) == lane);
        let expected = own.count() as u64;
        let found = reached.applied.get(&SourceId(source as u16)).copied().unwrap_or(0);
        if found != expected {
            return Err(format!("lane {lane} applied {found} of {expected} records of {source}"));
        }
    }
    let complete = world.incidents.is_empty();
    if complete && reached.watermark != reference.watermark {
        let (found, expected) = (reached.watermark, reference.watermark);
        return Err(format!("lane {lane} ends at the watermark {found} instead of {expected}"));
    }
    Ok(())
}

/// The sinks hold what the reference published, per key in its order, each once.
fn audit_sinks(
    world: &World,
    references: &[Reference],
    logged: &[Published],
) -> Result<(), String> {
    for (index, sink) in world.sinks.iter().enumerate() {
        let mut ids = BTreeSet::new();
        let mut found: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for message in &sink.messages {
            if !ids.insert(&message.id) {
                return Err(format!("sink {index} has {} twice", message.id));
            }
            found.entry(message.key.to_vec()).or_default().push(message.payload.to_vec());
        }
        for (stage, (reference, logged)) in references.iter().zip(logged).enumerate() {
            audit_stage(world, (stage, index), reference, logged, &mut found)?;
        }
        if let Some(key) = found.keys().next() {
            let key = String::from_utf8_lossy(key);
            return Err(format!("sink {index} has outputs of {key}, which nobody emits"));
        }
    }
    Ok(())
}

/// Takes what one stage published out of what was `found` in a sink.
fn audit_stage(
    world: &World,
    (stage, index): (usize, usize),
    reference: &Reference,
    logged: &Published,
    found: &mut BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
) -> Result<(), String> {
    let topology = world.current();
    let (expected, logged) = (&reference.published[index], &logged[index]);
    let keys: BTreeSet<_> = expected.keys().chain(logged.keys()).collect();
    for key in keys {
        let lane = topology.owner_of(stage, key);
        let list = |of: Option<&Vec<Vec<u8>>>| {
            let mut list = of.cloned().unwrap_or_default();
            if topology.stages[stage].job == Job::Window {
                // In whatever order.
                list.sort();
            }
            list
        };
        let mut expected = list(expected.get(key));
        let (logged, found) = (list(logged.get(key)), list(found.remove(key).as_ref()));
        if world.incidents.contains_key(&lane) {
            // It stopped somewhere, so it published the beginning.
            if !expected.starts_with(&logged) {
                return Err(differ(index, key, "log", &expected, &logged));
            }
            expected.truncate(found.len());
        } else if logged != expected {
            return Err(differ(index, key, "log", &expected, &logged));
        }
        if !topology.stages[stage].published {
            expected.clear();
        }
        if found != expected {
            return Err(differ(index, key, "sink", &expected, &found));
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
fn audit_state(world: &World, lane: u16, reference: &Reference) -> Result<(), String> {
    if world.incidents.contains_key(&lane) {
        return Ok(());
    }
    let owner =
        world.owners.iter().rev().find(|owner| owner.lane == lane && owner.life == Life::Awake);
    let Some(owner) = owner else {
        return Err(format!("lane {lane} has no owner at the end"));
    };
    let operator = owner.machine.operator();
    let found = operator.state();
    let topology = world.lives.topology(lane);
    let (stage, _) = topology.at(lane);
    let expected: BTreeMap<_, _> = (reference.state.iter())
        .filter(|(key, _)| topology.owner_of(stage, key) == lane)
        .map(|(key, state)| (key.clone(), state.clone()))
        .collect();
    if found != expected {
        return Err(format!("lane {lane}: state {found:?} instead of {expected:?}"));
    }
    if !operator.timers_match() {
        return Err(format!("lane {lane}: the timer queue differs from the state"));
    }
    Ok(())
}
