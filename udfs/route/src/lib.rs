//! Sends each record, untouched, to the output of the first route whose condition holds, or to all of them.

mod config;

use std::collections::BTreeSet;

use expression::{Compiler, Document, Expression, Meta, Plan, Record, Scope};
use millstream_udf::prelude::*;

use crate::config::{Config, Target};

/// The outputs: a module's are fixed, so routes take what they need of these.
#[derive(Outputs)]
struct Out {
    a: Emit<Payload<'static>>,
    b: Emit<Payload<'static>>,
    c: Emit<Payload<'static>>,
    d: Emit<Payload<'static>>,
    e: Emit<Payload<'static>>,
    f: Emit<Payload<'static>>,
    g: Emit<Payload<'static>>,
    h: Emit<Payload<'static>>,
    rest: Emit<Payload<'static>>,
}

impl Out {
    fn to(&mut self, target: Target) -> Option<&mut Emit<Payload<'static>>> {
        match target {
            Target::A => Some(&mut self.a),
            Target::B => Some(&mut self.b),
            Target::C => Some(&mut self.c),
            Target::D => Some(&mut self.d),
            Target::E => Some(&mut self.e),
            Target::F => Some(&mut self.f),
            Target::G => Some(&mut self.g),
            Target::H => Some(&mut self.h),
            Target::Rest => Some(&mut self.rest),
            Target::Drop => None,
        }
    }
}

/// The UDF.
struct Route {
    routes: Vec<(Expression, Target)>,
    otherwise: Target,
    all: bool,
    plan: Plan,
}

#[udf(name = "route", version = "1.0.0", outputs = Out)]
impl Route {
    fn new(config: Config) -> Result<Self> {
        let Config { routes, otherwise, all } = config.checked()?;
        let mut compiler = Compiler::new(&[])?;
        let routes = routes.iter().enumerate().map(|(i, route)| {
            Ok((compiler.compile(&format!("routes[{i}].when"), &route.when)?, route.to))
        });
        Ok(Self { routes: routes.collect::<Result<_>>()?, otherwise, all, plan: compiler.plan() })
    }

    fn process(&self, record: Record<'_>, out: &mut Out, ctx: &mut Context<'_>) -> Result<()> {
        let document = Document::read(&self.plan, record.payload)?;
        let scope = Scope::of(&document, Meta::of(&record, ctx), self.plan.uses_meta());
        let mut targets = BTreeSet::new();
        for (condition, target) in &self.routes {
            if condition.test(&scope)? {
                targets.insert(*target);
                if !self.all {
                    break;
                }
            }
        }
        if targets.is_empty() {
            targets.insert(self.otherwise);
        }
        for target in targets {
            if let Some(output) = out.to(target) {
                output.emit(Payload(record.payload));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
