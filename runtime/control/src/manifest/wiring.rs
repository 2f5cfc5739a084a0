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
    /// Per declared input of the module, in its order: the source's name and the key.
    pub inputs: Vec<(String, Key)>,
    /// Per declared output of the module, in its order: the sink's name; none: dropped.
    pub outputs: Vec<Option<String>>,
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
        let wire = StageWiring { document, field: format!("stages.{name}"), stage, description };
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
    field: String,
    stage: &'a Stage,
    description: &'a Description,
}

impl StageWiring<'_> {
    fn inputs(&self, problems: &mut Vec<Problem>) -> Vec<(String, Key)> {
        let declared: Vec<&str> =
            self.description.inputs.iter().map(|input| input.name.as_str()).collect();
        let mut fed: Vec<Option<(String, Key)>> = vec![None; declared.len()];
        let before = problems.len();
        for (source, input) in &self.stage.inputs {
            let field = format!("{}.inputs.{source}", self.field);
            match self.declared_input(&declared, &field, source, input.r#as.as_deref()) {
                Err(problem) => problems.push(*problem),
                Ok(index) => match &fed[index] {
                    Some((other, _)) => problems.push(self.document.problem_at_name(
                        errors::INPUT_FED_TWICE,
                        &field,
                        format!("input `{}` is fed by source `{other}` already", declared[index]),
                        match declared.len() {
                            1 => "the module has one input: keep one source, or read both subjects with one filter".to_owned(),
                            _ => format!("add `as:` with another of {}", list(&declared)),
                        },
                    )),
                    None => fed[index] = Some((source.clone(), input.key.clone())),
                },
            }
        }
        // An input that is missing because of a mistake above is not a second mistake.
        if problems.len() == before {
            for (name, _) in declared.iter().zip(&fed).filter(|(_, source)| source.is_none()) {
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
        fed.into_iter().flatten().collect()
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
        declared.iter().position(|name| *name == source).ok_or_else(|| {
            Box::new(self.document.problem_at_name(
                errors::INPUT_AMBIGUOUS,
                field,
                format!("{} declares {} inputs: {}", self.module(), declared.len(), list(declared)),
                "add `as:` with the one that this source feeds".to_owned(),
            ))
        })
    }

    fn outputs(&self, problems: &mut Vec<Problem>) -> Vec<Option<String>> {
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
        if self.stage.outputs.is_empty() && !declared.is_empty() && problems.len() == before {
            problems.push(self.document.problem_at_name(
                errors::OUTPUTS_DROPPED,
                &self.field,
                format!("no output of {} goes anywhere", self.module()),
                format!("add `outputs: {{ {}: <sink> }}`", declared[0]),
            ));
        }
        declared.iter().map(|name| self.stage.outputs.get(*name).cloned()).collect()
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
