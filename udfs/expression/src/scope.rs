//! What names mean while an expression is evaluated.

use std::collections::HashMap;

use cel::common::types::{CelBytes, CelInt, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use millstream_udf::Context;
use millstream_udf::prelude::*;

use crate::document::{Boxed, Constant, Document, value_of};
use crate::value::Owned;

/// The name of the record as a whole.
pub const RECORD: &str = "record";
/// The name of what is known about the record beside its payload.
pub const META: &str = "meta";

/// What the modules take of each record.
#[derive(Input)]
pub struct Record<'a> {
    /// The payload as it came.
    #[field(payload)]
    pub payload: &'a [u8],
    /// The subject; empty where there is none.
    #[field(subject)]
    pub subject: &'a str,
}

/// What is known about a record beside its payload: `meta.key`, `meta.subject` and `meta.event_time` (milliseconds).
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    /// The stage's key of the record.
    pub key: &'a [u8],
    /// Its subject.
    pub subject: &'a str,
    /// Its event time, milliseconds since 1970 UTC.
    pub event_time: i64,
}

impl<'a> Meta<'a> {
    /// Of the record at hand.
    pub fn of(record: &Record<'a>, context: &Context<'a>) -> Self {
        Self { key: context.key(), subject: record.subject, event_time: context.event_time() }
    }

    fn to_value(self) -> CelMap<'a> {
        let key: Boxed<'a> = match std::str::from_utf8(self.key) {
            Ok(text) => Box::new(CelString::from(text)),
            Err(_) => Box::new(CelBytes::from(self.key)),
        };
        let entries: [(&str, Boxed<'a>); 3] = [
            ("key", key),
            ("subject", Box::new(CelString::from(self.subject))),
            ("event_time", Box::new(CelInt::from(self.event_time))),
        ];
        let entries = entries.into_iter().map(|(name, value)| (CelMapKey::from(name), value));
        CelMap::from(entries.collect::<HashMap<_, _>>())
    }
}

/// What names mean: first the variables of the module, then `record` and `meta`, then the record's fields.
#[derive(Debug, Default)]
pub struct Scope<'s> {
    document: Option<&'s Document<'s>>,
    meta: Option<CelMap<'s>>,
    variables: Vec<(&'s str, CowVal<'s, 's>)>,
}

impl<'s> Scope<'s> {
    /// A scope without a record.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The scope of a record. `meta` is only looked at if an expression uses it.
    pub fn of(document: &'s Document<'s>, meta: Meta<'s>, uses_meta: bool) -> Self {
        let meta = uses_meta.then(|| meta.to_value());
        Self { document: Some(document), meta, variables: Vec::new() }
    }

    /// Adds a variable with the value of a JSON text.
    pub fn with_json(mut self, name: &'s str, json: &'s str) -> Result<Self> {
        let value = value_of(json).map_err(|e| Error::from(e).context(format_args!("`{name}`")))?;
        self.variables.push((name, CowVal::Owned(value)));
        Ok(self)
    }

    /// Adds a variable with a constant.
    pub fn with_constant(mut self, name: &'s str, constant: &'s Constant) -> Self {
        self.variables.push((name, CowVal::Borrowed(constant.value())));
        self
    }

    /// Adds a variable with a scalar.
    pub fn with_scalar(mut self, name: &'s str, scalar: &'s Owned) -> Self {
        self.variables.push((name, CowVal::Owned(scalar.to_value())));
        self
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some((_, value)) = self.variables.iter().find(|(variable, _)| *variable == name) {
            return Some(CowVal::Borrowed(value.as_ref()));
        }
        match name {
            RECORD => self.document.map(|document| CowVal::Borrowed(document.as_value())),
            META => self.meta.as_ref().map(|meta| CowVal::Borrowed(meta as &dyn Val)),
            _ => self.document?.field(name),
        }
    }
}
