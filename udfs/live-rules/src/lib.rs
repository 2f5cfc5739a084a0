//! Judges payments by fraud rules that change while it runs: each payment by the rules that were in force at its event
//! time. The rules are broadcast; payments wait until the watermark has reached their time.

mod rule;

use millstream_udf::prelude::*;

use rule::{Recent, Rule};

/// A payment. The account is the key.
#[derive(Input, Serialize, Deserialize)]
struct Payment {
    payment_id: String,
    amount: Decimal<2>,
    country: String,
}

/// A rule as it is from now on, or its end.
#[derive(Input)]
struct Change {
    rule_id: String,
    /// Without it the rule ends.
    rule: Option<Json<Rule>>,
}

/// A payment that a rule forbids.
#[derive(Output)]
#[output(tag = "type", value = "alert")]
struct Alert<'a> {
    payment_id: &'a str,
    account_id: &'a str,
    amount: Decimal<2>,
    ts: i64,
    rule_id: &'a str,
    /// Since when the rule is as it is.
    rule_ts: i64,
}

/// A payment that came when the watermark of its input had reached its event time: it is not judged.
#[derive(Output)]
#[output(tag = "type", value = "late_payment")]
struct LatePayment<'a> {
    payment_id: &'a str,
    account_id: &'a str,
    ts: i64,
}

/// A change of a rule that came too late: payments of its time were judged without it. It is ignored.
#[derive(Output)]
#[output(tag = "type", value = "late_rule")]
struct LateRule<'a> {
    rule_id: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    alert: Emit<Alert<'static>>,
    late_payment: Emit<LatePayment<'static>>,
    late_rule: Emit<LateRule<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    waiting: Ordered<Payment>,
    recent: Value<Recent>,
}

/// What every partition has.
#[derive(States)]
struct Rules {
    rules: BroadcastTable<String, Rule>,
}

/// The UDF.
#[derive(Default)]
struct LiveRules;

#[udf(name = "live-rules", version = "1.0.0", state = Account, broadcast = Rules, outputs = Out)]
impl LiveRules {
    #[input]
    fn payments(
        &self,
        payment: Payment,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = account.waiting.push(payment) {
            out.late_payment.emit(LatePayment {
                payment_id: &late.payment_id,
                account_id: ctx.key_text()?,
                ts: ctx.event_time(),
            });
        }
        Ok(())
    }

    #[input(broadcast)]
    fn rules(
        &self,
        change: Change,
        rules: &mut Rules,
        out: &mut Out,
        ctx: &mut BroadcastContext<'_>,
    ) -> Result<()> {
        let Change { rule_id, rule } = change;
        let late = match rule {
            Some(Json(rule)) => {
                rule.check()?;
                rules.rules.set(&rule_id, rule, ctx).is_some()
            }
            None => rules.rules.remove(&rule_id, ctx),
        };
        if late {
            out.late_rule.emit(LateRule { rule_id: &rule_id, ts: ctx.event_time() });
        }
        Ok(())
    }

    #[join(waiting = ByEventTime)]
    fn judged(
        &self,
        payment: Payment,
        account: &mut Account,
        rules: &Rules,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let (account_id, ts) = (ctx.key_text()?, ctx.time());
        let recent = account.recent.get_or_default();
        recent.add(ts);
        for (rule_id, rule) in rules.rules.all_at(ts) {
            if rule.forbids(&payment, recent, ts) {
                out.alert.emit(Alert {
                    payment_id: &payment.payment_id,
                    account_id,
                    amount: payment.amount,
                    ts,
                    rule_id: &rule_id,
                    rule_ts: rule.since(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
