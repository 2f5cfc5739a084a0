//! From located YAML to typed values. Every reader reports what it does not
//! understand and goes on, so that a run names all mistakes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::suggest;
use super::units::Duration;
use super::yaml::{Mark, Node, Value};
use crate::errors::{self, Code};
use crate::problem::Problem;

/// What is learned while a manifest is read.
pub struct Reading {
    file: String,
    problems: RefCell<Vec<Problem>>,
    marks: RefCell<BTreeMap<String, Place>>,
}

/// Where a field is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Its name (its value, in a list).
    pub name: Mark,
    /// Its value.
    pub value: Mark,
}

/// A value under its field path.
#[derive(Clone)]
pub struct Field<'a> {
    reading: &'a Reading,
    node: &'a Node,
    place: Place,
    path: String,
}

/// A mapping with known field names.
pub struct Fields<'a> {
    owner: Field<'a>,
    fields: Vec<(&'a str, Field<'a>)>,
}

impl Reading {
    /// Nothing read yet.
    pub fn new(file: &str) -> Self {
        Reading { file: file.to_owned(), problems: RefCell::default(), marks: RefCell::default() }
    }

    /// The whole document.
    pub fn root<'a>(&'a self, node: &'a Node) -> Field<'a> {
        let place = Place { name: node.mark, value: node.mark };
        self.marks.borrow_mut().insert(String::new(), place);
        Field { reading: self, node, place, path: String::new() }
    }

    /// All problems and places.
    pub fn finish(self) -> (Vec<Problem>, BTreeMap<String, Place>) {
        (self.problems.into_inner(), self.marks.into_inner())
    }
}

impl<'a> Field<'a> {
    /// Whether it is empty or `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    /// Whether it is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    /// Records a problem with the value.
    pub fn refuse(&self, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.push(self.place.value, code, message.into(), help.into());
    }

    /// Records a problem with the field's name.
    pub fn refuse_name(&self, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.push(self.place.name, code, message.into(), help.into());
    }

    fn push(&self, mark: Mark, code: Code, message: String, help: String) {
        let problem =
            Problem::new(code, message).help(help).at(mark.in_file(&self.reading.file, &self.path));
        self.reading.problems.borrow_mut().push(problem);
    }

    fn wrong_type(&self, expected: &str, example: &str) {
        let found = self.node.value.describe();
        self.refuse(
            errors::WRONG_TYPE,
            format!("expected {expected}, found {found}"),
            format!("write {example}"),
        );
    }

    /// All entries of a mapping whose names the user chooses. Nothing counts as an empty mapping.
    pub fn entries(&self, expected: &str, example: &str) -> Option<Vec<(&'a str, Field<'a>)>> {
        match &self.node.value {
            Value::Null => Some(Vec::new()),
            Value::Mapping(entries) => Some(
                entries
                    .iter()
                    .map(|entry| {
                        let dot = if self.path.is_empty() { "" } else { "." };
                        let path = format!("{}{dot}{}", self.path, entry.name);
                        let place = Place { name: entry.mark, value: entry.node.mark };
                        self.reading.marks.borrow_mut().insert(path.clone(), place);
                        (
                            entry.name.as_str(),
                            Field { reading: self.reading, node: &entry.node, place, path },
                        )
                    })
                    .collect(),
            ),
            _ => {
                self.wrong_type(expected, example);
                None
            }
        }
    }

    /// A mapping with these fields; others are reported.
    pub fn fields(&self, known: &[&str], example: &str) -> Option<Fields<'a>> {
        let mut fields = self.entries("a mapping", example)?;
        fields.retain(|(name, field)| {
            let is_known = known.contains(name);
            if !is_known {
                let help = suggest::help(name, known.iter().copied());
                field.refuse_name(
                    errors::UNKNOWN_FIELD,
                    format!("there is no field `{name}` here"),
                    help,
                );
            }
            is_known
        });
        Some(Fields { owner: self.clone(), fields })
    }

    /// A text.
    pub fn text(&self, example: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {
                self.wrong_type("a text", &format!("it in quotes, such as {example}"));
                None
            }
            _ => {
                self.wrong_type("a text", example);
                None
            }
        }
    }

    /// A text, if it is one; nothing is reported otherwise.
    pub fn as_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text, or a list of them.
    pub fn texts(&self, example: &str) -> Option<Vec<String>> {
        let Value::List(items) = &self.node.value else {
            return self.text(example).map(|text| vec![text.to_owned()]);
        };
        let texts = items.iter().map(|node| {
            let place = Place { name: node.mark, value: node.mark };
            let item = Field { reading: self.reading, node, place, path: self.path.clone() };
            item.text(example).map(str::to_owned)
        });
        // No short-circuit: every item reports.
        texts.collect::<Vec<_>>().into_iter().collect()
    }

    /// A whole number within limits.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let (min, max) = (*range.start(), *range.end());
        let limits =
            if max == u64::MAX { format!("{min} or more") } else { format!("{min} to {max}") };
        let Value::Integer(number) = self.node.value else {
            self.wrong_type("a whole number", &format!("a number, {limits}"));
            return None;
        };
        match u64::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.refuse(
                    errors::OUT_OF_RANGE,
                    format!("{number} is out of range"),
                    format!("use {limits}"),
                );
                None
            }
        }
    }

    /// A duration within limits.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let example = "a whole number and a unit: `500ms`, `5s`, `2m`, `1h` or `1d`";
        let text = match &self.node.value {
            Value::Text(text) => text,
            Value::Integer(number) => {
                self.refuse(
                    errors::INVALID_DURATION,
                    format!("the duration {number} has no unit"),
                    format!("write `{number}s` or `{number}ms`"),
                );
                return None;
            }
            _ => {
                self.wrong_type("a duration", example);
                return None;
            }
        };
        let Ok(duration) = text.parse() else {
            self.refuse(
                errors::INVALID_DURATION,
                format!("{text:?} is not a duration"),
                format!("write {example}"),
            );
            return None;
        };
        if !range.contains(&duration) {
            self.refuse(
                errors::INVALID_DURATION,
                format!("{duration} is out of range"),
                format!("use {} to {}", range.start(), range.end()),
            );
            return None;
        }
        Some(duration)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names = words.iter().map(|(name, _)| *name);
        let Some(text) = self.as_text() else {
            let list: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            self.wrong_type("a word", &format!("one of {}", list.join(", ")));
            return None;
        };
        let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            self.refuse(
                errors::UNKNOWN_CHOICE,
                format!("{text:?} is not known here"),
                suggest::help(text, names),
            );
        }
        found
    }

    /// The only field of a mapping that describes alternatives.
    pub fn alternative(&self, known: &[&str], example: &str) -> Option<(&'a str, Field<'a>)> {
        let mut fields = self.fields(known, example)?.fields;
        if fields.len() == 1 {
            return fields.pop();
        }
        // An unknown field has been reported already; that the right one is missing follows from it.
        if !(fields.is_empty()
            && matches!(&self.node.value, Value::Mapping(entries) if !entries.is_empty()))
        {
            let found = match fields.len() {
                0 => "nothing".to_owned(),
                _ => fields
                    .iter()
                    .map(|(name, _)| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(" and "),
            };
            self.refuse(
                errors::ONE_OF,
                format!("expected one alternative, found {found}"),
                format!("write {example}"),
            );
        }
        None
    }

    /// Any value as JSON.
    pub fn json(&self) -> serde_json::Value {
        json(&self.node.value)
    }
}

impl<'a> Fields<'a> {
    /// A field that may be missing; nothing counts as missing.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        self.fields
            .iter()
            .find(|(found, field)| *found == name && !field.is_null())
            .map(|(_, field)| field.clone())
    }

    /// A field that must be there.
    pub fn require(&self, name: &str, example: &str) -> Option<Field<'a>> {
        let field = self.get(name);
        if field.is_none() {
            let owner = &self.owner;
            // Where the mapping begins as its reader knows it: at its own name.
            owner.refuse_name(
                errors::MISSING_FIELD,
                format!("`{name}` is missing"),
                format!("add `{example}`"),
            );
        }
        field
    }
}

fn json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Integer(number) => match (u64::try_from(*number), i64::try_from(*number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => Json::Null,
        },
        // The YAML reader refuses what JSON cannot hold.
        Value::Float(number) => {
            serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number)
        }
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Value::Mapping(entries) => Json::Object(
            entries.iter().map(|entry| (entry.name.clone(), json(&entry.node.value))).collect(),
        ),
    }
}
