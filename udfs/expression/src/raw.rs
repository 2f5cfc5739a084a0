//! Fields of a record as they stand in its JSON: what is only moved from one record to another keeps every digit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cel::common::ast::Expr;
use cel::parser::Expression as Ast;
use millstream_udf::prelude::*;
use serde_json::value::RawValue;

/// The fields of an object, each with its JSON text, in the order of their names. Of fields of the same name the last counts.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct RawFields<'a>(#[serde(borrow)] BTreeMap<Name<'a>, &'a RawValue>);

/// A name that is borrowed unless it has escapes.
#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::borrow::Borrow<str> for Name<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> RawFields<'a> {
    /// Reads a payload; an error if it is not a JSON object.
    pub fn read(payload: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(payload)
            .map_err(|error| Error::new(format_args!("the record is not a JSON object: {error}")))
    }

    /// The JSON text at a path of names.
    pub fn at(&self, path: &[String]) -> Option<&'a str> {
        let (name, rest) = path.split_first()?;
        let mut json = self.0.get(name.as_str())?.get();
        for name in rest {
            let Self(fields) = serde_json::from_str(json).ok()?;
            json = fields.get(name.as_str())?.get();
        }
        Some(json)
    }

    /// All fields in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(Name(name), json)| (&**name, json.get()))
    }
}

/// The names of an expression that is only a path to a field: `order.id`, or `record.order.id`.
pub fn path_of(ast: &Ast, variables: &[String]) -> Option<Vec<String>> {
    let (mut path, mut at) = (Vec::new(), ast);
    loop {
        match &at.expr {
            Expr::Select(select) if !select.test => {
                path.push(select.field.clone());
                at = &select.operand;
            }
            Expr::Ident(name) => {
                path.push(name.strip_prefix('.').unwrap_or(name).to_owned());
                break;
            }
            _ => return None,
        }
    }
    path.reverse();
    if path[0] == crate::scope::RECORD {
        path.remove(0);
    } else if path[0] == crate::scope::META || variables.contains(&path[0]) {
        return None;
    }
    (!path.is_empty()).then_some(path)
}
