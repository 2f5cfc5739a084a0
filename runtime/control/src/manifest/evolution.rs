//! Which changes a pipeline with a history can take.
//!
//! Its log holds positions per source, state per key and partition, and timers by their place
//! in the module's description. A change that would give any of these another meaning is refused
//! before anything is changed; what to do instead is always a new pipeline name.

use std::collections::BTreeMap;

use millstream_core::description::Description;
use millstream_core::evolution::{Misfit, misfits};

use super::document::{Document, sort};
use super::resolve::chain;
use super::wiring::Wiring;
use crate::errors::{self, Code};
use crate::problem::{Problem, Problems};

/// A pipeline as it is recorded or as it is wanted.
pub struct Version<'a> {
    /// The manifest.
    pub document: &'a Document,
    /// Its modules' descriptions, one per stage.
    pub descriptions: &'a BTreeMap<String, &'a Description>,
    /// Its wirings, one per stage.
    pub wirings: &'a BTreeMap<String, Wiring>,
}

/// Refuses `new` if the pipeline that runs as `old` cannot become it.
///
/// # Errors
/// All reasons, at their places in the new manifest.
pub fn check(old: &Version<'_>, new: &Version<'_>) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let judge = Judge { document: new.document, old: old.document };
    judge.checkpoints(&mut problems);
    judge.sources(&mut problems);
    judge.stages(&mut problems);
    for (name, old_stage) in &old.document.manifest.stages {
        let Some(new_stage) = new.document.manifest.stages.get(name) else { continue };
        let field = format!("stages.{name}");
        if old_stage.partitions != new_stage.partitions {
            let message = format!(
                "the stage has {} partitions, not {}",
                old_stage.partitions, new_stage.partitions
            );
            problems.push(judge.refusal(
                errors::PARTITIONS_CHANGED,
                &format!("{field}.partitions"),
                message,
            ));
        }
        if let (Some(old_wiring), Some(new_wiring)) = (old.wirings.get(name), new.wirings.get(name))
        {
            judge.inputs(&field, old_wiring, new_wiring, &mut problems);
            for feed in &new_wiring.inputs {
                judge.upstream(&field, &feed.from, old, new, &mut problems);
            }
        }
        if let (Some(old), Some(new)) = (old.descriptions.get(name), new.descriptions.get(name)) {
            let field = format!("{field}.module");
            problems.extend(judge.shift(name, &field, old, new));
            let misfits = misfits(old, new);
            problems.extend(misfits.iter().map(|misfit| judge.misfit(&field, misfit)));
        }
    }
    sort(&mut problems);
    Problems::refuse(problems)
}

struct Judge<'a> {
    document: &'a Document,
    old: &'a Document,
}

impl Judge<'_> {
    fn refusal(&self, code: Code, field: &str, message: String) -> Problem {
        let name = &self.document.manifest.name;
        let help = format!("keep it as it is, or create a new pipeline: `name: {name}-2`");
        self.document.problem_at_name(code, field, message, help)
    }

    fn checkpoints(&self, problems: &mut Vec<Problem>) {
        let shown = |store: &Option<String>| {
            store.clone().unwrap_or_else(|| "the JetStream object store".to_owned())
        };
        let (old, new) = (&self.old.manifest.checkpoints, &self.document.manifest.checkpoints);
        if old.store != new.store {
            let message = format!(
                "the checkpoints of the running pipeline are in {}, not in {}",
                shown(&old.store),
                shown(&new.store)
            );
            let code = errors::CHECKPOINT_STORE_CHANGED;
            problems.push(self.refusal(code, "checkpoints.store", message));
        }
    }

    fn sources(&self, problems: &mut Vec<Problem>) {
        let (old, new) = (&self.old.manifest.sources, &self.document.manifest.sources);
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            let message = format!("the running pipeline reads the source `{name}`");
            problems.push(self.refusal(errors::SOURCES_CHANGED, "sources", message));
        }
        for (name, source) in new {
            let field = format!("sources.{name}");
            let Some(before) = old.get(name) else {
                let message = format!("the running pipeline has no source `{name}`");
                problems.push(self.refusal(errors::SOURCES_CHANGED, &field, message));
                continue;
            };
            let fixed = [
                ("stream", before.stream != source.stream),
                ("subject", before.subject != source.subject),
                ("start", before.start != source.start),
                ("event-time", before.event_time != source.event_time),
                ("watermark.bound", before.watermark.bound != source.watermark.bound),
            ];
            for (part, _) in fixed.into_iter().filter(|(_, differs)| *differs) {
                let message = format!("the running pipeline has another `{part}`");
                problems.push(self.refusal(
                    errors::SOURCE_CHANGED,
                    &format!("{field}.{part}"),
                    message,
                ));
            }
        }
    }

    fn stages(&self, problems: &mut Vec<Problem>) {
        let (old, new) = (&self.old.manifest.stages, &self.document.manifest.stages);
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            let message = format!("the running pipeline has a stage `{name}`");
            problems.push(self.refusal(errors::STAGES_CHANGED, "stages", message));
        }
        for name in new.keys().filter(|name| !old.contains_key(*name)) {
            let message = format!("the running pipeline has no stage `{name}`");
            problems.push(self.refusal(errors::STAGES_CHANGED, &format!("stages.{name}"), message));
        }
    }

    fn inputs(&self, field: &str, old: &Wiring, new: &Wiring, problems: &mut Vec<Problem>) {
        let sources = |wiring: &Wiring| {
            wiring.inputs.iter().map(|feed| feed.from.clone()).collect::<Vec<_>>()
        };
        let fed = |wiring: &Wiring| wiring.inputs.iter().map(|feed| feed.input).collect::<Vec<_>>();
        if (sources(old), fed(old)) != (sources(new), fed(new)) {
            let message = format!(
                "the stage's inputs were fed by {}, now by {}",
                sources(old).join(", "),
                sources(new).join(", ")
            );
            problems.push(self.refusal(
                errors::INPUTS_CHANGED,
                &format!("{field}.inputs"),
                message,
            ));
            return;
        }
        for (old, new) in old.inputs.iter().zip(&new.inputs) {
            if old.key != new.key {
                let source = &old.from;
                let message = format!("the key of `{source}` was {}", serde_json::json!(old.key));
                problems.push(self.refusal(
                    errors::KEY_CHANGED,
                    &format!("{field}.inputs.{source}.key"),
                    message,
                ));
            }
        }
    }

    /// Outputs that another stage reads are in the log by their numbers.
    fn upstream(
        &self,
        field: &str,
        from: &str,
        old: &Version<'_>,
        new: &Version<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let Some((stage, output)) = from.split_once('.') else { return };
        let number = |version: &Version<'_>| {
            let outputs = &version.descriptions.get(stage)?.outputs;
            outputs.iter().position(|declared| declared.name == output)
        };
        let (before, after) = (number(old), number(new));
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            let message = format!(
                "`{output}` was output number {} of stage `{stage}`, in the new module it is number {}",
                before + 1,
                after + 1
            );
            let field = format!("{field}.inputs.{from}");
            problems.push(self.refusal(errors::INPUTS_CHANGED, &field, message));
        }
    }

    /// What stages chained behind this one would lose their place by.
    fn shift(
        &self,
        name: &str,
        field: &str,
        old: &Description,
        new: &Description,
    ) -> Option<Problem> {
        let manifest = &self.document.manifest;
        let chain = chain(manifest, manifest.head_of(name));
        let next = chain.iter().skip_while(|stage| **stage != name).nth(1)?;
        let count = |d: &Description| (d.outputs.len(), d.states.len(), d.timers.len());
        (count(old) != count(new)).then(|| {
            let message = format!(
                "the new module declares other numbers of outputs, states or timers, and `{next}` is chained behind it"
            );
            self.refusal(errors::CHAIN_SHIFTED, field, message)
        })
    }

    /// Why the new module cannot go on with what the old one has kept.
    fn misfit(&self, field: &str, misfit: &Misfit) -> Problem {
        let code = match misfit {
            Misfit::StateRemoved { .. } => errors::STATE_REMOVED,
            Misfit::StateKind { .. } => errors::STATE_KIND,
            Misfit::StateClock { .. } => errors::STATE_CLOCK,
            Misfit::StateVersion { .. } => errors::STATE_SCHEMA,
            Misfit::StateOrder { .. } => errors::STATE_ORDER,
            Misfit::TimerClock { .. } | Misfit::TimerMoved { .. } => errors::TIMER_CHANGED,
        };
        let Misfit::StateVersion { name, kept, version } = misfit else {
            return self.refusal(code, field, misfit.to_string());
        };
        let pipeline = &self.document.manifest.name;
        let help = if kept < version {
            format!(
                "read version {kept} of `{name}` too, with `#[state(version = {version}, migrate = ...)]`, or create a new pipeline: `name: {pipeline}-2`"
            )
        } else {
            format!(
                "a module that writes version {kept} of `{name}` or a later one fits; or create a new pipeline: `name: {pipeline}-2`"
            )
        };
        self.document.problem_at_name(code, field, misfit.to_string(), help)
    }
}
