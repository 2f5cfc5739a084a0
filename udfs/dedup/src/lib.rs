//! Passes each record once: a record is a duplicate if one with the same key and the same identity passed less than
//! `within` before or behind it in event time. What passes and what does not is untouched.
//!
//! Exact for every record that is not behind the watermark by more than `lateness`: what passed is remembered until no such
//! record can be its duplicate. Those further behind go to `late`, since nobody can tell.

mod config;
mod seen;

use expression::{Compiler, Document, Expression, Meta, Plan, Record, Scope};
use millstream_udf::prelude::*;

use crate::config::{Config, Lengths};
use crate::seen::Seen;

/// Bytes of an identity, at most: it is the key of an entry.
const IDENTITY_BYTES_MAX: usize = 900;

/// The outputs.
#[derive(Outputs)]
struct Out {
    output: Emit<Payload<'static>>,
    duplicates: Emit<Payload<'static>>,
    late: Emit<Payload<'static>>,
}

/// The UDF.
struct Dedup {
    by: Option<Expression>,
    lengths: Lengths,
    plan: Plan,
}

#[udf(name = "dedup", version = "1.0.0", state = Seen, outputs = Out)]
impl Dedup {
    fn new(config: Config) -> Result<Self> {
        let lengths = config.lengths()?;
        let mut compiler = Compiler::new(&[])?;
        let by = config.by.map(|source| compiler.compile("by", &source)).transpose()?;
        Ok(Self { by, lengths, plan: compiler.plan() })
    }

    fn process(
        &self,
        record: Record<'_>,
        seen: &mut Seen,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let (time, watermark) = (ctx.event_time(), ctx.watermark());
        if time <= ctx.input_watermark().saturating_sub(self.lengths.lateness) {
            out.late.emit(Payload(record.payload));
            return Ok(());
        }
        let identity = self.identity(&record, ctx)?;
        match seen.pass(identity, time, watermark, self.lengths)? {
            Some(forget_at) => {
                ctx.set_timer(Self::FORGET, forget_at);
                out.output.emit(Payload(record.payload));
            }
            None => out.duplicates.emit(Payload(record.payload)),
        }
        Ok(())
    }

    #[timer(event_time)]
    fn forget(&self, seen: &mut Seen, ctx: &mut TimerContext<'_>) -> Result<()> {
        for time in seen.forget(ctx.time(), self.lengths) {
            ctx.set_timer(Self::FORGET, time);
        }
        Ok(())
    }
}

impl Dedup {
    /// What `by` gives, as JSON: `1` and `"1"` are not the same.
    fn identity(&self, record: &Record<'_>, ctx: &Context<'_>) -> Result<Option<String>> {
        let Some(by) = &self.by else { return Ok(None) };
        let document = Document::read(&self.plan, record.payload)?;
        let scope = Scope::of(&document, Meta::of(record, ctx), self.plan.uses_meta());
        let mut json = Vec::new();
        ensure!(by.write(&scope, &mut json)?, "`by` gives nothing");
        ensure!(
            json.len() <= IDENTITY_BYTES_MAX,
            "`by` gives {} bytes; {IDENTITY_BYTES_MAX} are allowed",
            json.len()
        );
        Ok(Some(String::from_utf8(json)?))
    }
}

#[cfg(test)]
mod tests;
