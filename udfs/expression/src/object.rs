//! Records that are made: fields that are copied from another record, and fields that expressions give.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::compiler::{Compiler, Expression};
use crate::raw::RawFields;
use crate::scope::Scope;
use crate::value;

/// Fields that expressions give, in the order of their names.
pub struct Fields {
    fields: Vec<(String, Expression)>,
    copies: bool,
    computes: bool,
}

impl Fields {
    /// Compiles the expressions of a setting, which maps names to expressions.
    pub fn compile(
        compiler: &mut Compiler,
        setting: &str,
        fields: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut compiled = Vec::with_capacity(fields.len());
        for (name, source) in fields {
            compiled.push((name.clone(), compiler.compile(&format!("{setting}.{name}"), source)?));
        }
        let copies = compiled.iter().any(|(_, field)| field.path().is_some());
        let computes = compiled.iter().any(|(_, field)| field.path().is_none());
        Ok(Self { fields: compiled, copies, computes })
    }

    /// Whether some of them are copies of a field of the record.
    pub fn copy(&self) -> bool {
        self.copies
    }

    /// Whether some of them are computed.
    pub fn compute(&self) -> bool {
        self.computes
    }

    /// Makes a record of those fields of `raw` that `keeps` says, and of these; where both have a name, of these.
    ///
    /// A field whose expression is only a path is copied from `raw`, digit for digit.
    pub fn make(
        &self,
        raw: &RawFields<'_>,
        scope: &Scope<'_>,
        keeps: impl Fn(&str) -> bool,
    ) -> Result<Vec<u8>> {
        let mut object = Object { json: vec![b'{'] };
        let mut fields = self.fields.iter().peekable();
        for (name, json) in raw.iter() {
            while let Some((field, expression)) = fields.next_if(|(field, _)| field.as_str() < name)
            {
                object.made(field, expression, raw, scope)?;
            }
            let replaced = fields.peek().is_some_and(|(field, _)| field == name);
            if !replaced && keeps(name) {
                object.copied(name, json)?;
            }
        }
        for (field, expression) in fields {
            object.made(field, expression, raw, scope)?;
        }
        object.json.push(b'}');
        Ok(object.json)
    }
}

/// A JSON object that is being written.
struct Object {
    json: Vec<u8>,
}

impl Object {
    fn name(&mut self, name: &str) -> Result<()> {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        value::write_text(name, &mut self.json)?;
        self.json.push(b':');
        Ok(())
    }

    fn copied(&mut self, name: &str, json: &str) -> Result<()> {
        self.name(name)?;
        self.json.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn made(
        &mut self,
        name: &str,
        expression: &Expression,
        raw: &RawFields<'_>,
        scope: &Scope<'_>,
    ) -> Result<()> {
        if let Some(path) = expression.path() {
            let Some(json) = raw.at(path) else {
                let (setting, path) = (expression.setting(), path.join("."));
                bail!("`{setting}`: the record has no field `{path}`");
            };
            return self.copied(name, json);
        }
        let start = self.json.len();
        self.name(name)?;
        if !expression.write(scope, &mut self.json)? {
            self.json.truncate(start);
        }
        Ok(())
    }
}
