//! The reference of the manifest, from its JSON Schema.

use std::collections::VecDeque;
use std::fmt::Write as _;

use millstream_control::manifest::json_schema;
use serde_json::{Map, Value};

use super::{assert_generated, cell};

const PAGE: &str = "docs/reference/manifest.md";

const INTRODUCTION: &str = "# The manifest

A pipeline is one YAML document. This page is written from its JSON Schema, which `millstream schema` prints for editors;
`millstream validate -f FILE` checks a manifest and the modules that it names.

A *duration* is a whole number and its unit: `500ms`, `10s`, `5m`, `1h`, `7d`. A *pointer* is a JSON Pointer into the payload: `/order/id`.
";

/// The page. Writing to a string cannot fail, so nothing here looks at what `write!` returns.
fn page(schema: &Value) -> String {
    let mut text = String::from(INTRODUCTION);
    section(&mut text, "Pipeline", schema);
    // Every type once, those that the pipeline itself names first.
    let mut waiting = VecDeque::from(named_in(schema));
    let mut seen = Vec::new();
    while let Some(name) = waiting.pop_front() {
        if seen.contains(&name) {
            continue;
        }
        let definition = &schema["$defs"][&name];
        section(&mut text, &title(&name), definition);
        waiting.extend(named_in(definition));
        seen.push(name);
    }
    text
}

fn section(text: &mut String, title: &str, schema: &Value) {
    let _ = writeln!(text, "\n## {title}\n\n{}", description(schema));
    if let Some(fields) = schema["properties"].as_object() {
        text.push_str("\n| field | | |\n|---|---|---|\n");
        for (name, field, required) in ordered(fields, schema) {
            let required = if required { ", required" } else { "" };
            let kind = kind(field, &|name| format!("[{name}](#{})", name.replace(' ', "-")));
            let _ = writeln!(text, "| `{name}` | {kind}{required} | {} |", description(field));
        }
        return;
    }
    let forms = ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array());
    text.push_str("\n| form | |\n|---|---|\n");
    for form in forms.expect("a type has fields or forms") {
        let _ = writeln!(text, "| {} | {} |", shape(form), description(form));
    }
}

/// The fields, those that must be there first.
fn ordered<'a>(
    fields: &'a Map<String, Value>,
    schema: &'a Value,
) -> Vec<(&'a str, &'a Value, bool)> {
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
    };
    let mut fields: Vec<_> =
        fields.iter().map(|(name, field)| (name.as_str(), field, required(name))).collect();
    fields.sort_by_key(|(name, _, required)| (!required, *name));
    fields
}

/// One way of writing a value.
fn shape(form: &Value) -> String {
    if let Some(value) = form["const"].as_str() {
        return format!("`{value}`");
    }
    let Some(fields) = form["properties"].as_object() else {
        return kind(form, &str::to_owned);
    };
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, field)| format!("{name}: {}", kind(field, &str::to_owned)))
        .collect();
    format!("`{{ {} }}`", fields.join(", "))
}

/// What a value is. `link` writes the name of another section.
fn kind(schema: &Value, link: &dyn Fn(&str) -> String) -> String {
    if let Some(name) = reference(schema) {
        return link(&title(name).to_lowercase());
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    let text = |key: &str| schema[key].as_str().unwrap_or_default();
    match kinds.into_iter().find(|kind| *kind != "null").unwrap_or_default() {
        "string" if text("pattern").contains("ms|s") => "duration".to_owned(),
        "string" if text("format") == "date-time" => "time".to_owned(),
        "string" if text("format") == "uri" => "URL".to_owned(),
        "string" => "text".to_owned(),
        "integer" => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            _ => "integer".to_owned(),
        },
        "array" => format!("list of {}", kind(&schema["items"], link)),
        "object" => match &schema["additionalProperties"] {
            of @ Value::Object(_) => format!("{} by name", kind(of, link)),
            _ => "mapping".to_owned(),
        },
        other => panic!("the reference knows no type `{other}`: {schema}"),
    }
}

/// The types that a type names, in the order of its fields.
fn named_in(schema: &Value) -> Vec<String> {
    let Some(fields) = schema["properties"].as_object() else { return Vec::new() };
    let named = ordered(fields, schema).into_iter().filter_map(|(_, field, _)| {
        reference(field).or_else(|| reference(&field["additionalProperties"]))
    });
    named.map(str::to_owned).collect()
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// `EventTime` as words.
fn title(name: &str) -> String {
    let mut words = String::new();
    for (index, letter) in name.char_indices() {
        if index > 0 && letter.is_uppercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

fn description(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

#[test]
fn the_reference_is_the_schema() {
    assert_generated(PAGE, &page(&json_schema()));
}

#[test]
fn fields_and_forms_are_described() {
    let schema = serde_json::json!({
        "description": "A thing.",
        "properties": {
            "b": {"type": ["string", "null"], "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": "Last."},
            "c": {"$ref": "#/$defs/TwoForms", "description": "First."},
        },
        "required": ["c"],
        "$defs": {"TwoForms": {"description": "Either.", "oneOf": [
            {"const": "none", "description": "Nothing."},
            {"properties": {"at": {"type": "integer", "minimum": 1, "maximum": 9}}, "description": "There."},
        ]}},
    });
    let expected = "
## Pipeline

A thing.

| field | | |
|---|---|---|
| `c` | [two forms](#two-forms), required | First. |
| `b` | duration | Last. |

## Two forms

Either.

| form | |
|---|---|
| `none` | Nothing. |
| `{ at: 1 to 9 }` | There. |
";
    assert!(page(&schema).ends_with(expected), "{}", page(&schema));
}
