//! A manifest against its modules' descriptions: which source feeds which declared
//! input, and where each declared output goes.

use std::collections::BTreeMap;

use millstream_core::description::{Capability, Description};

use super::document::{Document, sort};
use super::model::{Key, Stage};
use super::suggest;
use crate::errors;
use crate::problem::{Problem, Problems};

/// How one stage is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// What feeds the stage, in the order of the module's declared inputs.
    pub inputs: Vec<Feed>,
    /// Per declared output of the module, in its order: the names of the sinks.
    pub outputs: Vec<Vec<String>>,
}

/// Something that feeds a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Name of a source, or `STAGE.OUTPUT`.
    pub from: String,
    /// Index of the declared input that it feeds.
    pub input: usize,
    /// Where the key is.
    pub key: Key,
}

/// Connects every stage. `descriptions` holds one per stage.
///
/// # Errors
/// All mismatches, in the order of the text.
pub fn wire(
    document: &Document,
    descriptions: &BTreeMap<String, &Description>,
) -> Result<BTreeMap<String, Wiring>, Problems> {
    let mut problems = Vec::new();
    let mut wirings = BTreeMap::new();
    for (name, stage) in &document.manifest.stages {
        let Some(description) = descriptions.get(name) else {
            problems.push(document.problem(
                errors::MODULE_NOT_FOUND,
                &format!("stages.{name}.module"),
                "the module is not known".to_owned(),
                "push it with `millstream module push FILE`".to_owned(),
            ));
            continue;
        };
        let field = format!("stages.{name}");
        let wire = StageWiring { document, name, field, stage, description, descriptions };
        let inputs = wire.inputs(&mut problems);
        let outputs = wire.outputs(&mut problems);
        wire.config(&mut problems);
        wirings.insert(name.clone(), Wiring { inputs, outputs });
    }
    sort(&mut problems);
    Problems::refuse(problems)?;
    Ok(wirings)
}

struct StageWiring<'a> {
    document: &'a Document,
    name: &'a str,
    field: String,
    stage: &'a Stage,
    description: &'a Description,
    descriptions: &'a BTreeMap<String, &'a Description>,
}

impl StageWiring<'_> {
    fn inputs(&self, problems: &mut Vec<Problem>) -> Vec<Feed> {
        let declared: Vec<&str> =
            self.description.inputs.iter().map(|input| input.name.as_str()).collect();
        let mut feeds = Vec::new();
        let before = problems.len();
        for (from, input) in &self.stage.inputs {
            let field = format!("{}.inputs.{from}", self.field);
            problems.extend(self.check_upstream(&field, from));
            match self.declared_input(&declared, &field, from, input.r#as.as_deref()) {
                Err(problem) => problems.push(*problem),
                Ok(index) => {
                    let broadcast = self.description.inputs.get(index).is_some_and(|i| i.broadcast);
                    if broadcast && input.key == Key::Same {
                        problems.push(self.document.problem(
                            errors::NOT_CHAINED,
                            &format!("{field}.key"),
                            format!("`{}` is a broadcast input", declared[index]),
                            "write `none`: its records have no key".to_owned(),
                        ));
                    }
                    feeds.push(Feed { from: from.clone(), input: index, key: input.key.clone() })
                }
            }
        }
        // An input that is missing because of a mistake above is not a second mistake.
        if problems.len() == before {
            let is_fed = |index: usize| feeds.iter().any(|feed| feed.input == index);
            for (_, name) in declared.iter().enumerate().filter(|(index, _)| !is_fed(*index)) {
                problems.push(self.document.problem_at_name(
                    errors::INPUT_NOT_FED,
                    &format!("{}.inputs", self.field),
                    format!(
                        "{} declares the input `{name}`, and no source feeds it",
                        self.module()
                    ),
                    format!("add a source with `as: {name}`"),
                ));
            }
        }
        // The sort is stable: feeds of one input stay in the order of their names.
        feeds.sort_by_key(|feed| feed.input);
        feeds
    }

    /// An input that is another stage's output: whether that stage's module declares it.
    fn check_upstream(&self, field: &str, from: &str) -> Option<Problem> {
        let (stage, output) = from.split_once('.')?;
        let description = self.descriptions.get(stage)?;
        let declared = || description.outputs.iter().map(|output| output.name.as_str());
        if declared().any(|name| name == output) {
            return None;
        }
        Some(self.document.problem_at_name(
            errors::UNKNOWN_OUTPUT,
            field,
            format!(
                "module {}@{} of stage `{stage}` declares no output `{output}`",
                description.name, description.version
            ),
            suggest::help(output, declared()),
        ))
    }

    /// Index of the declared input that a source feeds.
    fn declared_input(
        &self,
        declared: &[&str],
        field: &str,
        source: &str,
        wanted: Option<&str>,
    ) -> Result<usize, Box<Problem>> {
        if let Some(wanted) = wanted {
            return declared.iter().position(|name| *name == wanted).ok_or_else(|| {
                Box::new(self.document.problem(
                    errors::UNKNOWN_INPUT,
                    &format!("{field}.as"),
                    format!("{} declares no input `{wanted}`", self.module()),
                    suggest::help(wanted, declared.iter().copied()),
                ))
            });
        }
        if let [_] = declared {
            return Ok(0);
        }
        let output = source.split_once('.').map_or(source, |(_, output)| output);
        declared.iter().position(|name| *name == output).ok_or_else(|| {
            Box::new(self.document.problem_at_name(
                errors::INPUT_AMBIGUOUS,
                field,
                format!("{} declares {} inputs: {}", self.module(), declared.len(), list(declared)),
                "add `as:` with the one that this source feeds".to_owned(),
            ))
        })
    }

    fn outputs(&self, problems: &mut Vec<Problem>) -> Vec<Vec<String>> {
        let declared: Vec<&str> =
            self.description.outputs.iter().map(|output| output.name.as_str()).collect();
        let before = problems.len();
        for output in
            self.stage.outputs.keys().filter(|output| !declared.contains(&output.as_str()))
        {
            problems.push(self.document.problem_at_name(
                errors::UNKNOWN_OUTPUT,
                &format!("{}.outputs.{output}", self.field),
                format!("{} declares no output `{output}`", self.module()),
                suggest::help(output, declared.iter().copied()),
            ));
        }
        let stages = self.document.manifest.stages.values();
        let is_read = stages
            .flat_map(|stage| stage.inputs.keys())
            .any(|input| input.split_once('.').is_some_and(|(stage, _)| stage == self.name));
        let is_dropped = self.stage.outputs.is_empty() && !is_read;
        if is_dropped && !declared.is_empty() && problems.len() == before {
            problems.push(self.document.problem_at_name(
                errors::OUTPUTS_DROPPED,
                &self.field,
                format!("no output of {} goes anywhere", self.module()),
                format!("add `outputs: {{ {}: <sink> }}`", declared[0]),
            ));
        }
        declared
            .iter()
            .map(|name| self.stage.outputs.get(*name).cloned().unwrap_or_default())
            .collect()
    }

    fn config(&self, problems: &mut Vec<Problem>) {
        let is_given = self.stage.config.as_object().is_some_and(|config| !config.is_empty());
        if is_given && !self.description.capabilities.contains(&Capability::Config) {
            problems.push(self.document.problem_at_name(
                errors::CONFIG_NOT_WANTED,
                &format!("{}.config", self.field),
                format!("{} takes no configuration", self.module()),
                "remove `config`".to_owned(),
            ));
        }
    }

    fn module(&self) -> String {
        format!("module {}@{}", self.description.name, self.description.version)
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
