//! Seeded simulation of the protocol: the state machines of the core against a log,
//! a source, sinks and databases in memory, in virtual time, with everything going
//! wrong that the design speaks of. Pipelines have one stage, or two or three that read
//! each other, run on processes of their own or on nodes of a cluster, or are rescaled meanwhile. Each run is compared with a reference model that
//! knows no faults.
//!
//! `MILLSTREAM_SIM_SEEDS=50000` runs more seeds than the default of each shape,
//! `MILLSTREAM_SIM_SEED=17` only that one.

mod audit;
mod cluster;
mod exchange;
mod faults;
mod inflict;
mod network;
mod operator;
mod owner;
mod reference;
mod rescale;
mod rng;
mod servers;
mod topology;
mod world;

use faults::{Bug, Fault, Shape};
use world::{Outcome, World};

/// Runs of the test command, unless more are asked for.
fn seeds(shape: Shape) -> u64 {
    match shape {
        Shape::OneStage => 1_600,
        Shape::Stages => 1_200,
        Shape::Cluster => 2_000,
        Shape::Rescale => 2_000,
    }
}

/// Tests that share them, so that they run side by side.
const SHARES: u64 = 4;
/// A planted bug must show within so many runs.
const SEEDS_PER_BUG: u64 = 400;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn run(shape: Shape, seed: u64, bug: Option<Bug>) -> Outcome {
    let caught = std::panic::catch_unwind(|| World::run(shape, seed, bug));
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Outcome {
            trace: 0,
            fired: [0; Fault::COUNT],
            result: Err(format!("panic: {}", text.unwrap_or_default())),
        }
    })
}

fn share(shape: Shape, index: u64) {
    let seeds = number_of("MILLSTREAM_SIM_SEEDS").unwrap_or(seeds(shape));
    let only = number_of("MILLSTREAM_SIM_SEED");
    let mut fired = [0u64; Fault::COUNT];
    let mut failures = Vec::new();
    let mut runs = 0;
    for seed in (0..seeds)
        .filter(|seed| only.is_none() && seed % SHARES == index)
        .chain(only.filter(|_| index == 0))
    {
        let outcome = run(shape, seed, None);
        runs += 1;
        fired.iter_mut().zip(outcome.fired).for_each(|(sum, count)| *sum += u64::from(count > 0));
        if let Err(failure) = outcome.result {
            eprintln!(
                "{shape:?}, seed {seed}: {failure}\n  repeat: MILLSTREAM_SIM_SEED={seed} cargo test --release -p millstream-core --test simulation share_0"
            );
            failures.push(seed);
        }
    }
    for (fault, runs_with) in fired.iter().enumerate() {
        println!("{:20} in {runs_with} of {runs} runs", Fault::name(fault));
    }
    assert!(failures.is_empty(), "{} of {runs} runs failed: seeds {failures:?}", failures.len());
    if only.is_none() && runs >= 300 {
        let is_due = |fault: &usize| runs >= 10_000 || !Fault::is_rare(*fault);
        let never: Vec<_> = (0..Fault::COUNT)
            .filter(is_due)
            .filter(|&fault| Fault::happens_in(fault, shape) && fired[fault] == 0)
            .map(Fault::name)
            .collect();
        assert!(never.is_empty(), "faults that never happened: {never:?}");
    }
}

fn traces_repeat(shape: Shape) {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let (first, second) = (run(shape, seed, None), run(shape, seed, None));
        assert_eq!((first.trace, first.fired), (second.trace, second.fired), "seed {seed}");
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 60, "different seeds leave different traces");
}

fn all_are_caught(shape: Shape, bugs: &[Bug]) {
    let mut missed = Vec::new();
    for &bug in bugs {
        let caught = (0..SEEDS_PER_BUG)
            .find_map(|seed| Some((seed, run(shape, seed, Some(bug)).result.err()?)));
        match caught {
            Some((seed, how)) => {
                println!("{bug:?}: seed {seed}: {}", how.chars().take(160).collect::<String>())
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not caught within {SEEDS_PER_BUG} seeds: {missed:?}");
}

mod one_stage {
    use super::*;

    #[test]
    fn share_0_of_the_seeds_ends_as_the_reference() {
        share(Shape::OneStage, 0);
    }

    #[test]
    fn share_1_of_the_seeds_ends_as_the_reference() {
        share(Shape::OneStage, 1);
    }

    #[test]
    fn share_2_of_the_seeds_ends_as_the_reference() {
        share(Shape::OneStage, 2);
    }

    #[test]
    fn share_3_of_the_seeds_ends_as_the_reference() {
        share(Shape::OneStage, 3);
    }

    #[test]
    fn a_seed_run_twice_leaves_the_same_trace() {
        traces_repeat(Shape::OneStage);
    }

    #[test]
    fn every_planted_bug_is_caught() {
        all_are_caught(Shape::OneStage, &Bug::OF_ONE_STAGE);
    }
}

mod stages {
    use super::*;

    #[test]
    fn share_0_of_the_seeds_ends_as_the_reference() {
        share(Shape::Stages, 0);
    }

    #[test]
    fn share_1_of_the_seeds_ends_as_the_reference() {
        share(Shape::Stages, 1);
    }

    #[test]
    fn share_2_of_the_seeds_ends_as_the_reference() {
        share(Shape::Stages, 2);
    }

    #[test]
    fn share_3_of_the_seeds_ends_as_the_reference() {
        share(Shape::Stages, 3);
    }

    #[test]
    fn a_seed_run_twice_leaves_the_same_trace() {
        traces_repeat(Shape::Stages);
    }

    #[test]
    fn every_planted_bug_is_caught() {
        all_are_caught(Shape::Stages, &Bug::OF_THE_EXCHANGE);
    }
}

mod nodes {
    use super::*;

    #[test]
    fn share_0_of_the_seeds_ends_as_the_reference() {
        share(Shape::Cluster, 0);
    }

    #[test]
    fn share_1_of_the_seeds_ends_as_the_reference() {
        share(Shape::Cluster, 1);
    }

    #[test]
    fn share_2_of_the_seeds_ends_as_the_reference() {
        share(Shape::Cluster, 2);
    }

    #[test]
    fn share_3_of_the_seeds_ends_as_the_reference() {
        share(Shape::Cluster, 3);
    }

    #[test]
    fn a_seed_run_twice_leaves_the_same_trace() {
        traces_repeat(Shape::Cluster);
    }

    #[test]
    fn every_planted_bug_is_caught() {
        all_are_caught(Shape::Cluster, &Bug::OF_THE_CLUSTER);
    }
}

mod rescaling {
    use super::*;

    #[test]
    fn share_0_of_the_seeds_ends_as_the_reference() {
        share(Shape::Rescale, 0);
    }

    #[test]
    fn share_1_of_the_seeds_ends_as_the_reference() {
        share(Shape::Rescale, 1);
    }

    #[test]
    fn share_2_of_the_seeds_ends_as_the_reference() {
        share(Shape::Rescale, 2);
    }

    #[test]
    fn share_3_of_the_seeds_ends_as_the_reference() {
        share(Shape::Rescale, 3);
    }

    #[test]
    fn a_seed_run_twice_leaves_the_same_trace() {
        traces_repeat(Shape::Rescale);
    }

    #[test]
    fn every_planted_bug_is_caught() {
        all_are_caught(Shape::Rescale, &Bug::OF_RESCALING);
    }
}
