//! YAML as a tree in which every value knows its place. Typing happens afterwards, in
//! [`super::decode`], so that one run reports all mistakes and not just the first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Spanned};

use crate::errors;
use crate::problem::{Location, Problem};

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

impl Mark {
    /// The place as a location in a file.
    pub fn in_file(self, file: &str, field: &str) -> Location {
        Location {
            file: file.to_owned(),
            line: self.line,
            column: self.column,
            field: field.to_owned(),
        }
    }
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// What it is.
    pub value: Value,
}

/// A YAML value of the core schema.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order written; keys are unique.
    Mapping(Vec<Entry>),
}

/// A field of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Where the name begins.
    pub mark: Mark,
    /// Its value.
    pub node: Node,
}

/// Deepest nesting. The reader recurses, and nodes read manifests on threads with 2 MiB of stack.
const DEPTH_MAX: usize = 32;
/// Most values of a document, those behind aliases counted at each use.
const NODES_MAX: usize = 50_000;

/// Reads one YAML document.
///
/// # Errors
/// MS1002 or MS1015 with the place where reading stopped.
pub fn read(file: &str, text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX, max_nodes: NODES_MAX },
    };
    serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options)
        .map(Node::from)
        .map_err(|error| syntax_problem(file, &error))
}

fn syntax_problem(file: &str, error: &Error) -> Problem {
    let mark = error
        .location()
        .map(|place| Mark { line: place.line(), column: place.column() })
        .unwrap_or_default();
    let problem = match error.without_snippet() {
        Error::DuplicateMappingKey { key, .. } => {
            let name = key.as_deref().unwrap_or("?");
            Problem::new(
                errors::DUPLICATE_FIELD,
                format!("the field `{name}` is here a second time"),
            )
            .help("remove one of them")
        }
        Error::MultipleDocuments { .. } => {
            Problem::new(errors::YAML_SYNTAX, "a second YAML document begins here")
                .help("keep one pipeline per file")
        }
        Error::NullIntoString { .. } => {
            Problem::new(errors::YAML_SYNTAX, "a field name is missing before the colon")
                .help("write `field: value`")
        }
        other => Problem::new(errors::YAML_SYNTAX, first_line_without_place(&other.to_string())),
    };
    problem.at(mark.in_file(file, ""))
}

/// The reader ends its messages with the place, which the problem carries already.
fn first_line_without_place(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.rfind(" at line ").map_or(line, |end| &line[..end]).to_owned()
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        // The place of use: for an alias, where the star is.
        Node { mark: mark_of(spanned.referenced), value: spanned.value }
    }
}

fn mark_of(place: serde_saphyr::Location) -> Mark {
    Mark { line: place.line(), column: place.column() }
}

impl Value {
    /// For messages: `the number 42`, `the text "x"`, `a list`.
    pub fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Boolean(value) => format!("the boolean {value}"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::Text(text) => format!("the text {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut mapping = Vec::new();
        while let Some((name, value)) = entries.next_entry::<Spanned<String>, Spanned<Value>>()? {
            mapping.push(Entry {
                mark: mark_of(name.referenced),
                name: name.value,
                node: value.into(),
            });
        }
        Ok(Value::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        read("p.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn values_know_their_places() {
        let Value::Mapping(entries) =
            read("p.yaml", "a: 1\nb:\n  - x\n  - {c: 1.5}\n").unwrap().value
        else {
            panic!()
        };
        assert_eq!((entries[1].name.as_str(), entries[1].mark), ("b", Mark { line: 2, column: 1 }));
        let Value::List(items) = &entries[1].node.value else { panic!() };
        assert_eq!(items[0].mark, Mark { line: 3, column: 5 });
        let Value::Mapping(inner) = &items[1].value else { panic!() };
        assert_eq!(inner[0].node.mark, Mark { line: 4, column: 9 });
        assert_eq!(inner[0].node.value.describe(), "the number 1.5");
    }

    #[test]
    fn what_is_not_yaml_is_located() {
        let cases = [
            (
                "a: 1\nb: 2\na: 3\n",
                "p.yaml:3:1: MS1015: the field `a` is here a second time\n  help: remove one of them",
            ),
            (
                "a:\n\tb: 1\n",
                "p.yaml:2:2: MS1002: tabs disallowed within this context (block indentation)",
            ),
            ("a: [1\n", "p.yaml:1:4: MS1002: unclosed bracket '['"),
            ("a: b: c\n", "p.yaml:1:5: MS1002: mapping values are not allowed in this context"),
            ("a: *x\n", "p.yaml:1:4: MS1002: alias references unknown anchor"),
            (
                "a: 1\n---\nb: 2\n",
                "p.yaml:3:1: MS1002: a second YAML document begins here\n  help: keep one pipeline per file",
            ),
            (
                ": 1\n",
                "p.yaml:1:1: MS1002: a field name is missing before the colon\n  help: write `field: value`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(problem(text), expected, "{text:?}");
        }
    }

    #[test]
    fn hostile_documents_are_refused_quickly() {
        let deepest = "- ".repeat(DEPTH_MAX) + "x";
        assert!(read("p.yaml", &deepest).is_ok());
        assert!(problem(&format!("- {deepest}")).contains("MS1002"));
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let refs = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs += &format!("a{level}: &a{level} [{refs}]\n");
        }
        assert!(problem(&laughs).contains("MS1002"));
        assert!(problem(&"[".repeat(100_000)).contains("MS1002"));
        assert!(problem(&"a: {".repeat(10_000)).contains("MS1002"));
    }
}
