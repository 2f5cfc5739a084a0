//! Counts, sums and compares the records of a key in windows of event time.

mod config;
mod spec;
mod totals;

use std::collections::BTreeSet;

use expression::{Compiler, Document, Expression, Meta, Plan, Record, Scope};
use millstream_udf::prelude::*;

use crate::config::{Config, END, KEY, START};
use crate::spec::Spec;
use crate::totals::{Quantity, Totals};

/// The outputs.
#[derive(Outputs)]
struct Out {
    output: Emit<Payload<'static>>,
    late: Emit<Payload<'static>>,
}

/// What is kept of a key.
#[derive(States)]
struct Key {
    windows: Windows<Totals>,
}

/// The UDF.
struct Aggregator {
    layout: Window,
    condition: Option<Expression>,
    /// In the order of their names.
    specs: Vec<Spec>,
    plan: Plan,
    having: Option<Expression>,
}

#[udf(name = "aggregate", version = "1.0.0", state = Key, outputs = Out)]
impl Aggregator {
    fn new(config: Config) -> Result<Self> {
        let layout = config.layout()?;
        let mut compiler = Compiler::new(&[])?;
        let condition = config.r#where.as_deref().map(|source| compiler.compile("where", source));
        let condition = condition.transpose()?;
        let mut specs = Vec::new();
        for (name, field) in config.checked_fields()? {
            specs.push(Spec::compile(&mut compiler, name, &field)?);
        }
        let ids: BTreeSet<u32> = specs.iter().map(|spec| spec.id).collect();
        ensure!(
            ids.len() == specs.len(),
            "two of the names in `fields` have the same hash; change one"
        );
        let having = config.having.as_deref().map(|source| having(source, &specs)).transpose()?;
        Ok(Self { layout, condition, specs, plan: compiler.plan(), having })
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
        if let Some(condition) = &self.condition
            && !condition.test(&scope)?
        {
            return Ok(());
        }
        let time = ctx.event_time();
        let contributions = self.specs.iter().map(|spec| spec.contribution(&scope, time));
        let contributions = contributions.collect::<Result<Vec<_>>>()?;
        if key.windows.add(&contributions).is_late() {
            out.late.emit(Payload(record.payload));
        }
        Ok(())
    }

    #[window(windows = self.layout)]
    fn fire(&self, window: Fired<Totals>, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
        let Fired { start, end, result: totals, .. } = window;
        let mut fields = vec![
            (KEY, Some(Quantity::text(ctx.key_text()?))),
            (START, Some(Quantity::integer(start))),
            (END, Some(Quantity::integer(end))),
        ];
        for spec in &self.specs {
            let result = spec.result(&totals);
            let result =
                result.map_err(|error| error.context(format_args!("`fields.{}`", spec.name)))?;
            fields.push((&spec.name, result));
        }
        fields.sort_by_key(|(name, _)| *name);
        if let Some(having) = &self.having {
            let scalars = fields.iter().map(|(_, quantity)| Quantity::to_scalar(quantity.as_ref()));
            let scalars: Vec<_> = scalars.collect();
            let mut scope = Scope::empty();
            for ((name, _), scalar) in fields.iter().zip(&scalars) {
                scope = scope.with_scalar(name, scalar);
            }
            if !having.test(&scope)? {
                return Ok(());
            }
        }
        let mut json = Vec::new();
        for (name, quantity) in &fields {
            json.push(if json.is_empty() { b'{' } else { b',' });
            serde_json::to_writer(&mut json, name)?;
            json.push(b':');
            Quantity::write(quantity.as_ref(), &mut json)?;
        }
        json.push(b'}');
        out.output.emit(Payload(&json));
        Ok(())
    }
}

/// Compiles the condition on results, which knows their fields and nothing else.
fn having(source: &str, specs: &[Spec]) -> Result<Expression> {
    let mut names = vec![KEY, START, END];
    names.extend(specs.iter().map(|spec| spec.name.as_str()));
    let mut compiler = Compiler::new(&names)?;
    let having = compiler.compile("having", source)?;
    compiler.variables_only("having")?;
    Ok(having)
}

#[cfg(test)]
mod tests;
