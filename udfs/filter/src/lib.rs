//! Passes the records for which a condition of the configuration holds, untouched. The others go to `rest`.

use expression::{Compiler, Document, Expression, Meta, Plan, Record, Scope};
use millstream_udf::prelude::*;

/// The stage's `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The condition.
    r#where: String,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    output: Emit<Payload<'static>>,
    rest: Emit<Payload<'static>>,
}

/// The UDF.
struct Filter {
    condition: Expression,
    plan: Plan,
}

#[udf(name = "filter", version = "1.0.0", outputs = Out)]
impl Filter {
    fn new(config: Config) -> Result<Self> {
        let mut compiler = Compiler::new(&[])?;
        let condition = compiler.compile("where", &config.r#where)?;
        Ok(Self { condition, plan: compiler.plan() })
    }

    fn process(&self, record: Record<'_>, out: &mut Out, ctx: &mut Context<'_>) -> Result<()> {
        let document = Document::read(&self.plan, record.payload)?;
        let scope = Scope::of(&document, Meta::of(&record, ctx), self.plan.uses_meta());
        let output = if self.condition.test(&scope)? { &mut out.output } else { &mut out.rest };
        output.emit(Payload(record.payload));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
