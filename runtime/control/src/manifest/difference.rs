//! What differs between two manifests, field by field.

use serde_json::Value;

use super::model::Manifest;
use crate::api::pipelines::Change;

/// All fields that differ, defaults filled in, in the order of their paths.
pub fn diff(old: &Manifest, new: &Manifest) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(&normalised(old)), Some(&normalised(new)), &mut changes);
    changes
}

fn normalised(manifest: &Manifest) -> Value {
    // Text keys, no foreign types: serialising cannot fail.
    serde_json::to_value(manifest).unwrap_or_default()
}

/// Goes down as long as both sides are mappings, so that one field is one change.
fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let dot = if path.is_empty() { "" } else { "." };
            compare(&format!("{path}{dot}{name}"), old.get(name), new.get(name), changes);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map(Value::to_string);
    changes.push(Change { field: path.to_owned(), old: text(old), new: text(new) });
}
