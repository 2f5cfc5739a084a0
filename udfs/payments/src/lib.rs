//! Routes payments by cost, cut-off times, holidays and risk, with a reason for every route that was not taken; and nets
//! those whose route settles net, cycle by cycle.

mod config;
mod netting;
mod routing;

use std::collections::BTreeMap;

use finance::Currency;
use finance::calendar::{IsoDate, parse_date};
use millstream_udf::prelude::*;

use crate::config::{Config, Netting, RISK_POINTS_MAX};
use crate::netting::{Cycle, Netted, Obligations, Position, Transfer};
use crate::routing::{Offer, Payment, Rejection, Router};

/// Bytes of an id or name, at most.
const NAME_BYTES_MAX: usize = 64;

/// An instruction to pay. The key is the netting set: all payments that may be netted with each other.
#[derive(Input)]
struct Instruction<'a> {
    payment_id: &'a str,
    ts: i64,
    debtor: &'a str,
    creditor: &'a str,
    amount_minor: i64,
    currency: &'a str,
    country: &'a str,
    needed_by: Option<&'a str>,
    risk_points: Option<i64>,
}

/// A payment on its way.
#[derive(Output)]
#[output(tag = "type", value = "routed")]
struct Routed<'a> {
    payment_id: &'a str,
    ts: i64,
    debtor: &'a str,
    creditor: &'a str,
    amount_minor: i64,
    currency: &'a str,
    route: &'a str,
    cost_minor: i64,
    value_date: Json<IsoDate>,
    risk_points: i64,
    /// `gross`, `bilateral` or `multilateral`.
    settlement: &'a str,
    /// `only_route`, `cheapest` or `cycle_closed`.
    reason: &'a str,
    rejected: Json<Vec<Rejection>>,
}

/// A payment that no route takes.
#[derive(Output)]
#[output(tag = "type", value = "unroutable")]
struct Unroutable<'a> {
    payment_id: &'a str,
    ts: i64,
    debtor: &'a str,
    creditor: &'a str,
    amount_minor: i64,
    currency: &'a str,
    rejected: Json<Vec<Rejection>>,
}

/// What a cycle leaves to settle on a route.
#[derive(Output)]
#[output(tag = "type", value = "netted")]
struct Settled<'a> {
    netting_set: &'a str,
    route: &'a str,
    currency: &'a str,
    start: i64,
    end: i64,
    payments: i64,
    gross_minor: Json<i128>,
    net_minor: Json<i128>,
    positions: Json<Vec<Position>>,
    /// With bilateral netting: who pays whom.
    transfers: Json<Vec<Transfer>>,
    /// `bilateral` or `multilateral`.
    reason: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    routed: Emit<Routed<'static>>,
    unroutable: Emit<Unroutable<'static>>,
    netted: Emit<Settled<'static>>,
}

/// What is kept of a netting set.
#[derive(States)]
struct NettingSet {
    cycles: Windows<Cycle>,
}

/// The UDF.
struct Payments {
    router: Router,
}

#[udf(name = "payments", version = "1.0.0", state = NettingSet, outputs = Out)]
impl Payments {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { router: Router::new(config.checked()?) })
    }

    fn process(
        &self,
        instruction: Instruction<'_>,
        set: &mut NettingSet,
        out: &mut Out,
    ) -> Result<()> {
        let payment = payment(&instruction)?;
        let Instruction { payment_id, ts, debtor, creditor, amount_minor, currency, .. } =
            instruction;
        let (best, rejected) = self.router.route(&payment);
        let only = !rejected.iter().any(|rejection| rejection.code == "dearer");
        let rejected = Json(rejected);
        let Some(Offer { route, netting, cost, value_date, risk_points, .. }) = best else {
            out.unroutable.emit(Unroutable {
                payment_id,
                ts,
                debtor,
                creditor,
                amount_minor,
                currency,
                rejected,
            });
            return Ok(());
        };
        let netted = Netted { route, currency, netting, debtor, creditor, amount: amount_minor };
        // What comes behind its cycle settles by itself.
        let closed = netting != Netting::Gross && set.cycles.add(&netted).is_late();
        out.routed.emit(Routed {
            payment_id,
            ts,
            debtor,
            creditor,
            amount_minor,
            currency,
            route,
            cost_minor: cost,
            value_date: Json(IsoDate(value_date)),
            risk_points,
            settlement: match netting {
                Netting::Bilateral if !closed => "bilateral",
                Netting::Multilateral if !closed => "multilateral",
                _ => "gross",
            },
            reason: match (closed, only) {
                (true, _) => "cycle_closed",
                (false, true) => "only_route",
                (false, false) => "cheapest",
            },
            rejected,
        });
        Ok(())
    }

    #[window(cycles = self.router.config().cycle)]
    fn cycle(
        cycle: Fired<BTreeMap<(String, String), Obligations>>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        for ((route, currency), obligations) in &cycle.result {
            let bilateral = obligations.bilateral;
            out.netted.emit(Settled {
                netting_set: ctx.key_text()?,
                route,
                currency,
                start: cycle.start,
                end: cycle.end,
                payments: obligations.payments,
                gross_minor: Json(obligations.gross()),
                net_minor: Json(obligations.net()),
                positions: Json(obligations.positions()),
                transfers: Json(if bilateral { obligations.transfers() } else { Vec::new() }),
                reason: if bilateral { "bilateral" } else { "multilateral" },
            });
        }
        Ok(())
    }
}

/// The payment of an instruction that makes sense.
fn payment<'a>(instruction: &Instruction<'a>) -> Result<Payment<'a>> {
    for (field, name) in [
        ("payment_id", instruction.payment_id),
        ("debtor", instruction.debtor),
        ("creditor", instruction.creditor),
        ("country", instruction.country),
    ] {
        let bytes = name.len();
        ensure!(
            (1..=NAME_BYTES_MAX).contains(&bytes),
            "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
        );
    }
    let amount = instruction.amount_minor;
    ensure!(amount > 0, "an amount of {amount}; it must be above 0");
    ensure!(
        instruction.debtor != instruction.creditor,
        "`{}` is debtor and creditor",
        instruction.debtor
    );
    let risk_points = instruction.risk_points.unwrap_or(0);
    ensure!(
        (0..=RISK_POINTS_MAX).contains(&risk_points),
        "`risk_points` is {risk_points}; it must be 0 to {RISK_POINTS_MAX}"
    );
    let needed_by = match instruction.needed_by {
        Some(text) => match parse_date(text) {
            Some(date) => Some(date),
            None => bail!("`needed_by` is `{text}`, which is no date like 2026-12-25"),
        },
        None => None,
    };
    Ok(Payment {
        ts: instruction.ts,
        amount,
        currency: Currency::from_code(instruction.currency)?,
        country: instruction.country,
        needed_by,
        risk_points,
    })
}

#[cfg(test)]
mod tests;
