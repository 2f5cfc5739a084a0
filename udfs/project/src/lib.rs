//! Makes new records from the fields of others: computed by expressions, renamed, kept or dropped.
//!
//! What is only moved is copied as it stands in the record; only what is computed goes through CEL's numbers.

mod config;

use expression::{Compiler, Document, Fields, Meta, Plan, RawFields, Record, Scope};
use millstream_udf::prelude::*;

use crate::config::Config;

/// The UDF.
struct Project {
    config: Config,
    fields: Fields,
    plan: Plan,
}

#[udf(name = "project", version = "1.0.0")]
impl Project {
    fn new(config: Config) -> Result<Self> {
        let config = config.checked()?;
        let mut compiler = Compiler::new(&[])?;
        let fields = Fields::compile(&mut compiler, "fields", &config.fields)?;
        Ok(Self { config, fields, plan: compiler.plan() })
    }

    fn process(
        &self,
        record: Record<'_>,
        out: &mut Emit<Payload<'_>>,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let raw = match self.fields.copy() || self.config.keeps_any() {
            true => RawFields::read(record.payload)?,
            false => RawFields::default(),
        };
        let document = match self.fields.compute() {
            true => Some(Document::read(&self.plan, record.payload)?),
            false => None,
        };
        let scope = match &document {
            Some(document) => Scope::of(document, Meta::of(&record, ctx), self.plan.uses_meta()),
            None => Scope::empty(),
        };
        let made = self.fields.make(&raw, &scope, |name| self.config.keeps(name))?;
        out.emit(Payload(&made));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
