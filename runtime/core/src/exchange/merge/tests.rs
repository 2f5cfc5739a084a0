//! The merge on random worlds: any partitions, any commits, any restarts.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::outputs::OutputWriter;

/// What one upstream partition emits because of one cause.
#[derive(Clone, Debug)]
struct Emitted {
    cause: Cause,
    event_time: i64,
    key: u8,
    payload: u32,
}

struct World {
    /// Per upstream partition and sequence what it emits.
    emitted: Vec<Vec<Vec<Emitted>>>,
    /// (sequence, watermark).
    advances: Vec<(i64, i64)>,
    sequences: i64,
}

/// A merged element without what depends on the partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Output(u64, u32),
    Advance(u64, i64),
}

fn seen(merged: Merged) -> Seen {
    match merged {
        Merged::Output { number, payload, .. } => {
            Seen::Output(number, u32::from_le_bytes(payload[..].try_into().unwrap()))
        }
        Merged::Advance { number, watermark } => Seen::Advance(number, watermark),
    }
}

/// The same causes and outputs whatever the number of partitions; keys decide who emits.
fn world(seed: u64, partitions: usize) -> World {
    let mut random = StdRng::seed_from_u64(seed);
    let sequences = random.random_range(1..40);
    let mut emitted = vec![vec![Vec::new(); sequences as usize + 1]; partitions];
    let mut advances = Vec::new();
    let mut watermark = 0;
    let mut payload = 0;
    for sequence in 1..=sequences {
        let owner = |key: u8| usize::from(key) % partitions;
        let key = random.random_range(0..8u8);
        for _ in 0..random.random_range(0..3) {
            payload += 1;
            let cause = Cause::Record { order: sequence };
            emitted[owner(key)][sequence as usize].push(Emitted {
                cause,
                event_time: 0,
                key,
                payload,
            });
        }
        if random.random_bool(0.5) {
            watermark += random.random_range(1..20);
            advances.push((sequence, watermark));
            let mut timers: Vec<(i64, u8, u16)> = (0..random.random_range(0..4))
                .map(|_| {
                    (
                        random.random_range(0..watermark),
                        random.random_range(0..8),
                        random.random_range(0..2),
                    )
                })
                .collect();
            timers.sort_unstable();
            timers.dedup();
            for (event_time, key, timer) in timers {
                payload += 1;
                let cause = Cause::Timer { order: sequence, timer };
                emitted[owner(key)][sequence as usize].push(Emitted {
                    cause,
                    event_time,
                    key,
                    payload,
                });
            }
        }
    }
    World { emitted, advances, sequences }
}

/// A commit of the log: its partition, its outputs, the rest.
type Commit = (u16, Outputs, Exchange);

/// Cuts each partition's history into commits, and lets them reach the log in some order.
fn log(world: &World, random: &mut StdRng) -> Vec<Commit> {
    let partitions = world.emitted.len();
    let mut at = vec![0i64; partitions];
    let mut commits = Vec::new();
    while at.iter().any(|a| *a < world.sequences) {
        let partition = random.random_range(0..partitions);
        let from = at[partition];
        let to = random.random_range(from..=world.sequences.min(from + 9));
        at[partition] = to;
        let mut writer = OutputWriter::default();
        let mut exchange = Exchange { frontier: to, ..Exchange::default() };
        for sequence in from + 1..=to {
            for e in &world.emitted[partition][sequence as usize] {
                // Others' outputs lie between.
                if random.random_bool(0.2) {
                    writer.push(1, b"x", 0, b"other");
                }
                writer.push(0, &[e.key], e.event_time, &e.payload.to_le_bytes());
                exchange.caused(writer.count() - 1, e.cause);
            }
        }
        exchange.fit(writer.count());
        if partition == 0 {
            let passed = world.advances.iter().filter(|a| from < a.0 && a.0 <= to);
            exchange.advances.extend(passed);
        }
        commits.push((partition as u16, writer.freeze(), exchange));
    }
    commits
}

fn drain(merge: &mut Merge, into: &mut Vec<Seen>) {
    while let Some(merged) = merge.poll() {
        into.push(seen(merged));
    }
}

fn merged(commits: &[Commit], partitions: u16) -> Vec<Seen> {
    let mut merge =
        Merge::new(0, Ordering::Sequence, &Anchor::start(partitions, Ordering::Sequence));
    let mut all = Vec::new();
    for (i, (partition, outputs, exchange)) in commits.iter().enumerate() {
        merge.commit(*partition, Sequence(i as u64 + 1), outputs, Some(exchange));
        drain(&mut merge, &mut all);
    }
    assert_eq!(merge.waiting(), 0);
    all
}

proptest! {
    #[test]
    fn the_merge_depends_neither_on_partitions_nor_on_commits(seed: u64, partitions in 1u16..6) {
        let mut random = StdRng::seed_from_u64(seed ^ 1);
        let one = merged(&log(&world(seed, 1), &mut random), 1);
        let many = merged(&log(&world(seed, usize::from(partitions)), &mut random), partitions);
        prop_assert_eq!(one, many);
    }

    #[test]
    fn a_merge_goes_on_from_any_anchor(seed: u64, partitions in 1u16..6) {
        let mut random = StdRng::seed_from_u64(seed ^ 2);
        let commits = log(&world(seed, usize::from(partitions)), &mut random);
        let whole = merged(&commits, partitions);
        let mut merge = Merge::new(0, Ordering::Sequence, &Anchor::start(partitions, Ordering::Sequence));
        let mut all = Vec::new();
        for (i, (partition, outputs, exchange)) in commits.iter().enumerate() {
            merge.commit(*partition, Sequence(i as u64 + 1), outputs, Some(exchange));
            drain(&mut merge, &mut all);
            if random.random_bool(0.3) {
                let anchor = merge.anchor();
                merge = Merge::new(0, Ordering::Sequence, &anchor);
                // The log is read from each partition's place on.
                for (j, (partition, outputs, exchange)) in commits[..=i].iter().enumerate() {
                    let sequence = Sequence(j as u64 + 1);
                    if sequence >= anchor.places[usize::from(*partition)].commit {
                        merge.commit(*partition, sequence, outputs, Some(exchange));
                    }
                }
            }
            drain(&mut merge, &mut all);
        }
        // An advance may be told again by a commit that is read again.
        let outputs = |seen: &[Seen]| -> Vec<Seen> {
            seen.iter().filter(|s| matches!(s, Seen::Output(..))).cloned().collect()
        };
        prop_assert_eq!(outputs(&all), outputs(&whole));
        // The watermark before every output is the same.
        let before = |seen: &[Seen]| {
            let mut watermark = i64::MIN;
            let mut found = Vec::new();
            for s in seen {
                match s {
                    Seen::Advance(_, w) => watermark = watermark.max(*w),
                    Seen::Output(_, payload) => found.push((*payload, watermark)),
                }
            }
            found
        };
        prop_assert_eq!(before(&all), before(&whole));
    }

    #[test]
    fn by_time_each_timer_comes_before_the_watermark_passes_it(seed: u64, partitions in 1u16..5) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut merge = Merge::new(0, Ordering::Time, &Anchor::start(partitions, Ordering::Time));
        let mut next = vec![0i64; usize::from(partitions)];
        let (mut last, mut watermark, mut number, mut outputs) = (i64::MIN, i64::MIN, 0, 0);
        let mut emitted = 0;
        for sequence in 1..60u64 {
            let partition = random.random_range(0..partitions);
            let from = next[usize::from(partition)];
            let to = from + random.random_range(0..10);
            next[usize::from(partition)] = to;
            let mut writer = OutputWriter::default();
            let mut exchange = Exchange { frontier: to - 1, ..Exchange::default() };
            for time in from..to {
                if random.random_bool(0.4) {
                    emitted += 1;
                    writer.push(0, b"k", time, b"");
                    exchange.caused(writer.count() - 1, Cause::Timer { order: time, timer: 0 });
                }
            }
            merge.commit(partition, Sequence(sequence), &writer.freeze(), Some(&exchange));
            while let Some(merged) = merge.poll() {
                match merged {
                    Merged::Advance { number: n, watermark: w } => {
                        prop_assert!(n > number && w > watermark);
                        (number, watermark) = (n, w);
                    }
                    Merged::Output { number: n, event_time, .. } => {
                        prop_assert!(n > number && event_time > watermark && event_time >= last);
                        (number, last, outputs) = (n, event_time, outputs + 1);
                    }
                }
            }
        }
        prop_assert_eq!(outputs + merge.waiting(), emitted);
    }
}

#[test]
fn by_time_nobody_waits_for_advances() {
    let mut merge = Merge::new(0, Ordering::Time, &Anchor::start(1, Ordering::Time));
    for sequence in [3, 8] {
        let frontier = 10 * sequence as i64;
        let told = Exchange { advances: vec![(1, 5)], frontier, ..Exchange::default() };
        merge.commit(0, Sequence(sequence), &Outputs::default(), Some(&told));
        while merge.poll().is_some() {}
    }
    assert_eq!(merge.anchor().places, [Place { commit: Sequence(8), outputs: u32::MAX }]);
}
