//! Finds a large transfer from a new device soon after a password reset: the mark of a stolen account. Reports
//! those that came as far as the new device, too.

mod config;

use millstream_udf::pattern::{AfterMatch, Found, Matched, Pattern, PatternState};
use millstream_udf::prelude::*;

use config::Config;

/// What happened to an account, which is the key.
#[derive(Input, Serialize, Deserialize)]
struct Event {
    event_id: String,
    #[field(rename = "type")]
    kind: String,
    device: Option<String>,
    amount: Option<Decimal<2>>,
}

/// A takeover, as it looks.
#[derive(Output)]
#[output(tag = "type", value = "takeover")]
struct Takeover<'a> {
    account_id: &'a str,
    reset_id: &'a str,
    reset_ts: i64,
    device: &'a str,
    device_ts: i64,
    transfer_id: &'a str,
    transfer_ts: i64,
    amount: Decimal<2>,
}

/// A new device after a password reset, and no large transfer from it in time.
#[derive(Output)]
#[output(tag = "type", value = "near_miss")]
struct NearMiss<'a> {
    account_id: &'a str,
    reset_id: &'a str,
    reset_ts: i64,
    device: &'a str,
    device_ts: i64,
}

/// An event that came when the watermark had reached its event time.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    account_id: &'a str,
    event_id: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    takeover: Emit<Takeover<'static>>,
    near_miss: Emit<NearMiss<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    events: PatternState<Event>,
}

/// The UDF.
struct AccountTakeover {
    pattern: Pattern<Event>,
}

fn takeover(config: Config) -> Pattern<Event> {
    Pattern::begin("reset")
        .when(|event: &Event| event.kind == "password_reset")
        .followed_by("device")
        .when(|event| event.kind == "device_added" && event.device.is_some())
        // Who shows an identity card at a branch is the customer.
        .not_followed_by("identified")
        .when(|event| event.kind == "identity_verified")
        .followed_by("transfer")
        .when(|event| event.kind == "transfer")
        .when(move |event| event.amount.is_some_and(|amount| amount.units() >= config.large_cents))
        .given(|event, so_far| event.device == so_far["device"].device)
        .within(config.within)
        .after_match(AfterMatch::SkipPastLast)
        .build()
}

#[udf(name = "account-takeover", version = "1.0.0", state = Account, outputs = Out)]
impl AccountTakeover {
    fn new(config: Config) -> Result<Self> {
        config.check()?;
        Ok(Self { pattern: takeover(config) })
    }

    fn process(
        &self,
        event: Event,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = account.events.accept(event, Self::EVENTS, ctx) {
            let account_id = ctx.key_text()?;
            out.late.emit(Late { account_id, event_id: &late.event_id, ts: ctx.event_time() });
        }
        Ok(())
    }

    #[timer(event_time)]
    fn events(
        &self,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        let account_id = ctx.key_text()?;
        for found in account.events.advance(&self.pattern, Self::EVENTS, ctx)? {
            match found {
                Found::Match(found) => {
                    let (reset, transfer) = (&found["reset"], &found["transfer"]);
                    let (device, device_ts) = device(&found);
                    out.takeover.emit(Takeover {
                        account_id,
                        reset_id: &reset.event_id,
                        reset_ts: reset.event_time(),
                        device,
                        device_ts,
                        transfer_id: &transfer.event_id,
                        transfer_ts: transfer.event_time(),
                        amount: transfer.amount.unwrap_or_default(),
                    });
                }
                // A password reset alone is nothing to report.
                Found::Timeout(open) | Found::Dropped(open) if open.get("device").is_some() => {
                    let reset = &open["reset"];
                    let (device, device_ts) = device(&open);
                    out.near_miss.emit(NearMiss {
                        account_id,
                        reset_id: &reset.event_id,
                        reset_ts: reset.event_time(),
                        device,
                        device_ts,
                    });
                }
                Found::Timeout(_) | Found::Dropped(_) => {}
            }
        }
        Ok(())
    }
}

/// The new device and when it was added.
fn device(found: &Matched<Event>) -> (&str, i64) {
    let added = &found["device"];
    (added.device.as_deref().unwrap_or_default(), added.event_time())
}

#[cfg(test)]
mod tests;
