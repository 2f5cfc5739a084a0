//! What a record's data must look like, field by field.

use std::borrow::Cow;
use std::collections::BTreeMap;

use finance::calendar::parse_date;
use millstream_udf::prelude::*;
use serde_json::value::RawValue;

use crate::identifiers::Standard;

/// What a field must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Whether it may be missing or `null`.
    #[serde(default)]
    pub optional: bool,
    /// Of a text: a standard that it follows.
    pub standard: Option<Standard>,
    /// Of a text: reference values, one of which it is.
    pub one_of: Option<Vec<String>>,
    /// Of a text: characters, at most.
    pub max_length: Option<usize>,
    /// Of an integer: the least.
    pub min: Option<i64>,
    /// Of an integer: the largest.
    pub max: Option<i64>,
}

/// Types of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Text,
    Integer,
    Boolean,
    /// A day that exists, as `2026-02-28` (ISO 8601).
    Date,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// See the README.
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The fields of a document, not yet read.
type Document<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Checks a document; gives the faults in the order of the schema, and the field whose values are added up.
pub fn check(data: &str, fields: &[Field], total_field: Option<&str>) -> (Vec<Fault>, Option<i64>) {
    let Ok(document) = serde_json::from_str::<Document<'_>>(data) else {
        return (vec![Fault { code: "no_object", field: None }], None);
    };
    let faults = fields.iter().filter_map(|field| {
        let code = field.fault(document.get(field.name.as_str()).map(|raw| raw.get()))?;
        Some(Fault { code, field: Some(field.name.clone()) })
    });
    let total = total_field.and_then(|name| document.get(name)?.get().parse().ok());
    (faults.collect(), total)
}

impl Field {
    /// Refuses settings that do not belong to the type.
    pub fn checked(&self) -> Result<()> {
        let of_text = self.standard.is_some() || self.one_of.is_some() || self.max_length.is_some();
        ensure!(
            !of_text || self.kind == Kind::Text,
            "field `{}`: `standard`, `one_of` and `max_length` are for texts",
            self.name
        );
        let of_integer = self.min.is_some() || self.max.is_some();
        ensure!(
            !of_integer || self.kind == Kind::Integer,
            "field `{}`: `min` and `max` are for integers",
            self.name
        );
        Ok(())
    }

    /// What is wrong with the JSON value of this field, if anything.
    fn fault(&self, json: Option<&str>) -> Option<&'static str> {
        let Some(json) = json.filter(|json| *json != "null") else {
            return (!self.optional).then_some("missing");
        };
        match self.kind {
            Kind::Text => match serde_json::from_str::<String>(json) {
                Ok(text) => self.text_fault(&text),
                Err(_) => Some("wrong_type"),
            },
            Kind::Integer => match json.parse::<i64>() {
                Ok(value) if self.min.is_some_and(|min| value < min) => Some("below_minimum"),
                Ok(value) if self.max.is_some_and(|max| value > max) => Some("above_maximum"),
                Ok(_) => None,
                Err(_) => Some("wrong_type"),
            },
            Kind::Boolean => (json != "true" && json != "false").then_some("wrong_type"),
            Kind::Date => match serde_json::from_str::<String>(json) {
                Ok(text) => parse_date(&text).is_none().then_some("no_such_date"),
                Err(_) => Some("wrong_type"),
            },
        }
    }

    fn text_fault(&self, text: &str) -> Option<&'static str> {
        if self.max_length.is_some_and(|most| text.chars().count() > most) {
            return Some("too_long");
        }
        if self.standard.is_some_and(|standard| !standard.admits(text)) {
            return Some("invalid_identifier");
        }
        let unknown = |values: &Vec<String>| !values.iter().any(|value| value == text);
        self.one_of.as_ref().is_some_and(unknown).then_some("unknown_reference")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn faults(field: Value, data: &str) -> Vec<&'static str> {
        let field: Field = serde_json::from_value(field).expect("a field");
        check(data, &[field], None).0.into_iter().map(|fault| fault.code).collect()
    }

    #[test]
    fn types_and_bounds() {
        let integer = json!({"name": "a", "type": "integer", "min": 1, "max": 9});
        for (value, codes) in [
            ("5", vec![]),
            ("0", vec!["below_minimum"]),
            ("10", vec!["above_maximum"]),
            ("1.5", vec!["wrong_type"]),
            ("1e0", vec!["wrong_type"]),
            ("\"5\"", vec!["wrong_type"]),
            ("null", vec!["missing"]),
            ("9223372036854775808", vec!["wrong_type"]),
        ] {
            assert_eq!(faults(integer.clone(), &format!("{{\"a\":{value}}}")), codes, "{value}");
        }
        assert_eq!(faults(integer, "[1]"), ["no_object"]);
        let optional = json!({"name": "a", "type": "boolean", "optional": true});
        assert_eq!(faults(optional.clone(), "{}"), [""; 0]);
        assert_eq!(faults(optional, r#"{"a":1}"#), ["wrong_type"]);
    }

    #[test]
    fn texts() {
        let text = json!({"name": "a", "type": "text", "max_length": 3, "one_of": ["ä1", "b"]});
        assert_eq!(faults(text.clone(), r#"{"a":"\u00e41"}"#), [""; 0]);
        assert_eq!(faults(text.clone(), r#"{"a":"c"}"#), ["unknown_reference"]);
        assert_eq!(faults(text.clone(), r#"{"a":"abcd"}"#), ["too_long"]);
        assert_eq!(faults(text, r#"{"a":1}"#), ["wrong_type"]);
        let iban = json!({"name": "a", "type": "text", "standard": "iban"});
        assert_eq!(faults(iban, r#"{"a":"GB29NWBK60161331926818"}"#), ["invalid_identifier"]);
    }

    #[test]
    fn days_that_exist() {
        let date = json!({"name": "a", "type": "date"});
        assert_eq!(faults(date.clone(), r#"{"a":"2024-02-29"}"#), [""; 0]);
        assert_eq!(faults(date.clone(), r#"{"a":"2026-02-29"}"#), ["no_such_date"]);
        assert_eq!(faults(date, r#"{"a":20260228}"#), ["wrong_type"]);
    }
}
