//! Which fields of two JSON lines differ.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// JSON pointer of the field.
    pub field: String,
    /// Its expected text; none if it should not be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The text that came; none if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came: Option<String>,
}

/// The values of a JSON text by their pointers, each as it is written: `20.0` and `20.00` are not the same output. None if
/// it is no JSON.
pub type Leaves = BTreeMap<String, String>;

/// Takes a line apart.
pub fn leaves(line: &str) -> Option<Leaves> {
    let value: &RawValue = serde_json::from_str(line).ok()?;
    let mut leaves = Leaves::new();
    collect(String::new(), value, &mut leaves);
    Some(leaves)
}

fn collect(pointer: String, value: &RawValue, leaves: &mut Leaves) {
    let text = value.get();
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
        && !members.is_empty()
    {
        for (name, member) in members {
            // As RFC 6901 has it.
            let name = name.replace('~', "~0").replace('/', "~1");
            collect(format!("{pointer}/{name}"), member, leaves);
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text)
        && !items.is_empty()
    {
        for (index, item) in items.into_iter().enumerate() {
            collect(format!("{pointer}/{index}"), item, leaves);
        }
    } else {
        leaves.insert(pointer, text.to_owned());
    }
}

/// The fields in which two lines differ, by pointer.
pub fn differences(expected: &Leaves, came: &Leaves) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    for (field, value) in expected {
        let other = came.get(field);
        if other != Some(value) {
            found.push(FieldDifference {
                field: field.clone(),
                expected: Some(value.clone()),
                came: other.cloned(),
            });
        }
    }
    for (field, value) in came {
        if !expected.contains_key(field) {
            found.push(FieldDifference {
                field: field.clone(),
                expected: None,
                came: Some(value.clone()),
            });
        }
    }
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found
}

/// How different two lines are, from 0 (the same) to 1000 (nothing in common).
pub fn distance(expected: &Leaves, came: &Leaves) -> usize {
    let shared = expected.iter().filter(|(field, value)| came.get(*field) == Some(value)).count();
    let all = expected.len().max(came.len()).max(1);
    (all - shared) * 1000 / all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(expected: &str, came: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let (expected, came) = (leaves(expected).expect("JSON"), leaves(came).expect("JSON"));
        let found = differences(&expected, &came);
        found.into_iter().map(|one| (one.field, one.expected, one.came)).collect()
    }

    #[test]
    fn fields_are_named_by_pointers_and_numbers_are_what_is_written() {
        let found = compare(
            r#"{"total":20.00,"at":{"site":"a/b","x":1},"tags":["a","b"],"gone":null}"#,
            r#"{"total":20.0,"at":{"site":"c","x":1},"tags":["a"],"new":{}}"#,
        );
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [
                ("/at/site".into(), text("\"a/b\""), text("\"c\"")),
                ("/gone".into(), text("null"), None),
                ("/new".into(), None, text("{}")),
                ("/tags/1".into(), text("\"b\""), None),
                ("/total".into(), text("20.00"), text("20.0")),
            ]
        );
    }

    #[test]
    fn the_order_of_fields_is_no_difference_of_fields() {
        assert_eq!(compare(r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#), []);
        assert_eq!(leaves("not json"), None);
    }

    #[test]
    fn lines_are_as_far_apart_as_fields_differ() {
        let of = |a, b| distance(&leaves(a).expect("JSON"), &leaves(b).expect("JSON"));
        assert_eq!(of(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#), 0);
        assert_eq!(of(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#), 500);
        assert_eq!(of("1", "2"), 1000);
    }
}
