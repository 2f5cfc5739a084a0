//! A manifest together with the places of its fields.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::decode::{Place, Reading};
use super::model::{Key, MANIFEST_SIZE_MAX, Manifest};
use super::{parse, suggest, text, yaml};
use crate::errors::{self, Code};
use crate::problem::{Location, Problem, Problems};

/// A manifest that was read, and where each field is.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub manifest: Manifest,
    /// Its name, for messages.
    pub file: String,
    /// As it was read.
    pub text: String,
    places: BTreeMap<String, Place>,
}

impl Document {
    /// Reads a manifest; `file` is only named in messages. Checks all that can be checked without the modules.
    ///
    /// # Errors
    /// All mistakes found, in the order of the text.
    pub fn parse(file: &str, text: &str) -> Result<Document, Problems> {
        if text.len() > MANIFEST_SIZE_MAX {
            let message = format!(
                "the manifest has {} bytes, at most {MANIFEST_SIZE_MAX} are allowed",
                text.len()
            );
            return Err(unreadable(file, message).into());
        }
        let tree = yaml::read(file, text)?;
        let reading = Reading::new(file);
        let manifest = parse::manifest(&reading.root(&tree));
        let (mut problems, places) = reading.finish();
        let Some(manifest) = manifest.filter(|_| problems.is_empty()) else {
            sort(&mut problems);
            return Err(Problems(problems));
        };
        let (file, text) = (file.to_owned(), text.to_owned());
        let mut document = Document { manifest, file, text, places };
        Problems::refuse(document.check_references())?;
        document.take_over_partitions()?;
        Ok(document)
    }

    /// Reads a manifest file; `-` is standard input.
    ///
    /// # Errors
    /// MS1001 if it cannot be read, otherwise as [`Document::parse`].
    pub fn load(path: &Path) -> Result<Document, Problems> {
        let file = path.display().to_string();
        let text = read_text(path)
            .map_err(|error| unreadable(&file, format!("cannot read the manifest: {error}")))?;
        Document::parse(&file, &text)
    }

    /// Place of a field's value; of the nearest field around it that exists.
    pub fn at(&self, field: &str) -> Location {
        self.place(field).value.in_file(&self.file, field)
    }

    /// Place of a field's name.
    pub fn at_name(&self, field: &str) -> Location {
        self.place(field).name.in_file(&self.file, field)
    }

    fn place(&self, field: &str) -> Place {
        let mut field = field;
        loop {
            if let Some(place) = self.places.get(field) {
                return *place;
            }
            match field.rfind('.') {
                Some(end) => field = &field[..end],
                None => return self.places.get("").copied().unwrap_or_default(),
            }
        }
    }

    /// Gives chained stages what they share with the stage in whose partitions they run.
    fn take_over_partitions(&mut self) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let mut shared = BTreeMap::new();
        let stages = &self.manifest.stages;
        for (name, stage) in stages {
            let head_name = self.manifest.head_of(name);
            let Some(head) = stages.get(head_name).filter(|_| head_name != name) else { continue };
            let field = format!("stages.{name}.partitions");
            if self.places.contains_key(&field) && stage.partitions != head.partitions {
                let message =
                    format!("it runs in the {} partitions of `{head_name}`", head.partitions);
                problems.push(self.problem(
                    errors::NOT_CHAINED,
                    &field,
                    message,
                    "leave `partitions` out, or give its input another key".to_owned(),
                ));
            }
            let field = format!("stages.{name}.standbys");
            if self.places.contains_key(&field) && stage.standbys != head.standbys {
                problems.push(self.problem(
                    errors::NOT_CHAINED,
                    &field,
                    format!("it runs with `{head_name}`, for which {} stand by", head.standbys),
                    "leave `standbys` out, or give its input another key".to_owned(),
                ));
            }
            let field = format!("stages.{name}.on-error");
            if self.places.contains_key(&field) && stage.on_error != head.on_error {
                problems.push(self.problem(
                    errors::NOT_CHAINED,
                    &field,
                    format!(
                        "what fails in it fails in `{head_name}`, which has another `on-error`"
                    ),
                    "leave `on-error` out, or give its input another key".to_owned(),
                ));
            }
            shared.insert(name.clone(), (head.partitions, head.standbys, head.on_error));
        }
        for (name, shared) in shared {
            if let Some(stage) = self.manifest.stages.get_mut(&name) {
                (stage.partitions, stage.standbys, stage.on_error) = shared;
            }
        }
        sort(&mut problems);
        Problems::refuse(problems)
    }

    /// What the sections of the manifest say of one another.
    fn check_references(&self) -> Vec<Problem> {
        let manifest = &self.manifest;
        let mut problems = Vec::new();
        for (stage_name, stage) in &manifest.stages {
            for (source_name, input) in &stage.inputs {
                let field = format!("stages.{stage_name}.inputs.{source_name}");
                if let Some((from, _)) = source_name.split_once('.') {
                    problems.extend(self.check_stage_input(&field, from, &input.key));
                    if input.key == Key::Same && stage.inputs.len() > 1 {
                        problems.push(self.problem(
                            errors::NOT_CHAINED,
                            &format!("{field}.key"),
                            "a stage that is chained behind another reads nothing else".to_owned(),
                            "write where the key is, as in `{ pointer: /id }`".to_owned(),
                        ));
                    }
                    continue;
                }
                if input.key == Key::Same {
                    problems.push(self.problem(
                        errors::NOT_CHAINED,
                        &format!("{field}.key"),
                        format!("`{source_name}` is a source: its records have no key yet"),
                        "write where the key is, as in `{ pointer: /id }`".to_owned(),
                    ));
                }
                let Some(source) = manifest.sources.get(source_name) else {
                    problems.push(self.unknown_source(&field, source_name));
                    continue;
                };
                let (Key::SubjectToken(token), Some(filter)) = (&input.key, &source.subject) else {
                    continue;
                };
                if let Some(count) =
                    text::token_count(filter).filter(|count| usize::from(*token) > *count)
                {
                    let message = format!(
                        "the subjects of source `{source_name}` ({filter}) have {count} tokens"
                    );
                    problems.push(
                        Problem::new(errors::KEY_NOT_IN_SUBJECT, message)
                            .help(format!("use a number from 1 to {count}"))
                            .at(self.at(&format!("{field}.key.subject-token"))),
                    );
                }
            }
            for (output, sink) in
                stage.outputs.iter().flat_map(|(o, sinks)| sinks.iter().map(move |sink| (o, sink)))
            {
                if !manifest.sinks.contains_key(sink) {
                    let sinks = manifest.sinks.keys().map(String::as_str);
                    problems.push(
                        Problem::new(errors::UNKNOWN_SINK, format!("there is no sink `{sink}`"))
                            .help(declare_or_correct("sinks", sink, "{ subject: ... }", sinks))
                            .at(self.at(&format!("stages.{stage_name}.outputs.{output}"))),
                    );
                }
            }
        }
        problems.extend(self.check_circles());
        sort(&mut problems);
        problems
    }

    /// An input that is an output of the stage `from`.
    fn check_stage_input(&self, field: &str, from: &str, key: &Key) -> Option<Problem> {
        if !self.manifest.stages.contains_key(from) {
            let stages = self.manifest.stages.keys().map(String::as_str);
            return Some(self.problem_at_name(
                errors::UNKNOWN_STAGE,
                field,
                format!("there is no stage `{from}`"),
                suggest::help(from, stages),
            ));
        }
        matches!(key, Key::Header(_) | Key::SubjectToken(_)).then(|| {
            self.problem(
                errors::KEY_OF_OUTPUT,
                &format!("{field}.key"),
                "an output of a stage has neither headers nor a subject".to_owned(),
                "write `{ pointer: /id }`, or `none`".to_owned(),
            )
        })
    }

    /// Stages that feed themselves: the first that is found.
    fn check_circles(&self) -> Option<Problem> {
        let stages = &self.manifest.stages;
        let feeds = |stage: &str| {
            let inputs = stages.get(stage).into_iter().flat_map(|stage| stage.inputs.keys());
            inputs.filter_map(|input| input.split_once('.')).map(|(from, _)| from)
        };
        // Whatever is fed only by what is fed cannot be in a circle.
        let mut left: Vec<&str> = stages.keys().map(String::as_str).collect();
        loop {
            let before = left.len();
            let known = left.clone();
            left.retain(|stage| feeds(stage).any(|from| known.contains(&from)));
            if left.len() == before {
                break;
            }
        }
        // Of those that are left some are only fed by a circle: going back from any leads into one.
        let mut path = vec![*left.first()?];
        let circle = loop {
            let from = feeds(path.last()?).find(|from| left.contains(from))?;
            if let Some(start) = path.iter().position(|stage| *stage == from) {
                break &path[start..];
            }
            path.push(from);
        };
        let names: Vec<String> = circle.iter().rev().map(|stage| format!("`{stage}`")).collect();
        let first = circle.last()?;
        Some(self.problem_at_name(
            errors::STAGES_IN_A_CIRCLE,
            &format!("stages.{first}.inputs"),
            match names.as_slice() {
                [only] => format!("the stage {only} reads its own output"),
                _ => format!("the stages {} feed each other in a circle", names.join(", ")),
            },
            "remove one of these inputs".to_owned(),
        ))
    }

    fn unknown_source(&self, field: &str, name: &str) -> Problem {
        if self.manifest.stages.contains_key(name) {
            return Problem::new(
                errors::STAGE_WITHOUT_OUTPUT,
                format!("`{name}` is a stage, and which of its outputs is read is not said"),
            )
            .help(format!("write `{name}.OUTPUT`, with the name of an output of its module"))
            .at(self.at_name(field));
        }
        let sources = self.manifest.sources.keys().map(String::as_str);
        Problem::new(errors::UNKNOWN_SOURCE, format!("there is no source `{name}`"))
            .help(declare_or_correct("sources", name, "{ stream: ... }", sources))
            .at(self.at_name(field))
    }

    /// A problem with a field's value.
    pub(super) fn problem(
        &self,
        code: Code,
        field: &str,
        message: String,
        help: String,
    ) -> Problem {
        Problem::new(code, message).help(help).at(self.at(field))
    }

    /// A problem with a field as a whole.
    pub(super) fn problem_at_name(
        &self,
        code: Code,
        field: &str,
        message: String,
        help: String,
    ) -> Problem {
        Problem::new(code, message).help(help).at(self.at_name(field))
    }
}

/// In the order of the text.
pub(super) fn sort(problems: &mut [Problem]) {
    problems
        .sort_by_key(|problem| problem.location.as_ref().map(|place| (place.line, place.column)));
}

fn declare_or_correct<'a>(
    section: &str,
    name: &str,
    example: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> String {
    match suggest::nearest(name, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("declare it: `{section}: {{ {name}: {example} }}`"),
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed, so that a larger file is seen as such without being read whole.
    let limit = MANIFEST_SIZE_MAX as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn unreadable(file: &str, message: String) -> Problem {
    let location = Location { file: file.to_owned(), ..Location::default() };
    Problem::new(errors::MANIFEST_UNREADABLE, message).at(location)
}
