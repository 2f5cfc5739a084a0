//! Adds fields to records from a row of reference data: of a table in the configuration, or the latest reference record of
//! the same key. Reference records come in by the same input, so which of them a record finds is the order of the stream,
//! and the same at every replay.

mod config;

use std::collections::{BTreeMap, BTreeSet};

use expression::{
    Compiler, Constant, Document, Expression, Fields, Meta, Owned, Plan, RawFields, Record, Scope,
};
use millstream_udf::prelude::*;

use crate::config::{Config, Rows, Unmatched};

/// The name of the row in expressions.
const ROW: &str = "row";
/// Bytes that are kept of a reference record, at most: they come along with every batch of the key.
const ROW_BYTES_MAX: usize = 64 << 10;

/// The outputs.
#[derive(Outputs)]
struct Out {
    output: Emit<Payload<'static>>,
    unmatched: Emit<Payload<'static>>,
}

/// What is kept of a key.
#[derive(States)]
struct Key {
    /// The latest reference record, as JSON.
    row: Value<String>,
}

/// Where rows come from.
enum Source {
    Table { table: BTreeMap<String, Constant>, by: Expression },
    Reference { when: Expression, remove: Option<Expression>, keep: Option<BTreeSet<String>> },
}

/// The UDF.
struct Enrich {
    source: Source,
    fields: Fields,
    unmatched: Unmatched,
    plan: Plan,
}

#[udf(name = "enrich", version = "1.0.0", state = Key, outputs = Out)]
impl Enrich {
    fn new(mut config: Config) -> Result<Self> {
        let rows = config.rows()?;
        let mut compiler = Compiler::new(&[ROW])?;
        let source = match rows {
            Rows::Table { table, by } => Source::Table { table, by: compiler.compile("by", &by)? },
            Rows::Reference(reference) => {
                let when = compiler.compile("reference.when", &reference.when)?;
                let remove =
                    reference.remove.map(|remove| compiler.compile("reference.remove", &remove));
                Source::Reference { when, remove: remove.transpose()?, keep: reference.keep }
            }
        };
        let fields = Fields::compile(&mut compiler, "fields", &config.fields)?;
        Ok(Self { source, fields, unmatched: config.unmatched, plan: compiler.plan() })
    }

    fn process(
        &self,
        record: Record<'_>,
        key: &mut Key,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let document = Document::read(&self.plan, record.payload)?;
        let scope = Scope::of(&document, Meta::of(&record, ctx), self.plan.uses_meta());
        match &self.source {
            Source::Table { table, by } => {
                let name = name_of(by.scalar(&scope)?)?;
                match table.get(&name) {
                    Some(row) => self.emit(record.payload, &scope.with_constant(ROW, row), out),
                    None => self.emit_unmatched(record.payload, out, || {
                        format!("`table` has no row `{name}`")
                    }),
                }
            }
            Source::Reference { when, remove, keep } if when.test(&scope)? => {
                match remove {
                    Some(remove) if remove.test(&scope)? => key.row.clear(),
                    _ => key.row.set(row_of(record.payload, keep.as_ref())?),
                }
                Ok(())
            }
            Source::Reference { .. } => match key.row.get() {
                Some(row) => self.emit(record.payload, &scope.with_json(ROW, row)?, out),
                None => self.emit_unmatched(record.payload, out, || {
                    "no reference record of its key came before".into()
                }),
            },
        }
    }
}

impl Enrich {
    fn emit(&self, payload: &[u8], scope: &Scope<'_>, out: &mut Out) -> Result<()> {
        let made = self.fields.make(&RawFields::read(payload)?, scope, |_| true)?;
        out.output.emit(Payload(&made));
        Ok(())
    }

    fn emit_unmatched(
        &self,
        payload: &[u8],
        out: &mut Out,
        why: impl FnOnce() -> String,
    ) -> Result<()> {
        match self.unmatched {
            Unmatched::Refuse => bail!("{}", why()),
            Unmatched::Pass => out.output.emit(Payload(payload)),
            Unmatched::Divert => out.unmatched.emit(Payload(payload)),
        }
        Ok(())
    }
}

/// The name of a row.
fn name_of(by: Owned) -> Result<String> {
    match by {
        Owned::Text(name) => Ok(name),
        Owned::Int(name) => Ok(name.to_string()),
        Owned::Bool(name) => Ok(name.to_string()),
        Owned::Null | Owned::Double(_) => bail!("`by`: a row's key is text, an int or a bool"),
    }
}

/// What is kept of a reference record.
fn row_of(payload: &[u8], keep: Option<&BTreeSet<String>>) -> Result<String> {
    let fields = RawFields::read(payload)?;
    let mut row = String::from("{");
    for (name, json) in
        fields.iter().filter(|(name, _)| keep.is_none_or(|keep| keep.contains(*name)))
    {
        if row.len() > 1 {
            row.push(',');
        }
        row.push_str(&serde_json::to_string(name)?);
        row.push(':');
        row.push_str(json);
    }
    row.push('}');
    ensure!(
        row.len() <= ROW_BYTES_MAX,
        "a reference record of {} bytes; {ROW_BYTES_MAX} are kept at most: name the fields in `reference.keep`",
        row.len()
    );
    Ok(row)
}

#[cfg(test)]
mod tests;
