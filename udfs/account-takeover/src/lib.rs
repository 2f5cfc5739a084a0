//! Finds a large transfer from a new device soon after a credential was reset, perhaps to a changed payee: the mark of a
//! stolen account. Reports those that came as far as the new device, too.

mod config;

use std::collections::BTreeSet;

use finance::{Currency, Exact, Money};
use millstream_udf::pattern::{AfterMatch, Found, Matched, Pattern, PatternState, Taken};
use millstream_udf::prelude::*;

use config::Config;

/// What happened to an account, which is the key.
#[derive(Input)]
struct Happened {
    event_id: String,
    #[field(rename = "type")]
    kind: String,
    device: Option<String>,
    payee: Option<String>,
    /// No more digits than the currency has.
    amount: Option<Decimal<4>>,
    currency: Option<String>,
}

/// The same as it is kept.
#[derive(Serialize, Deserialize)]
struct Event {
    event_id: String,
    kind: String,
    device: Option<String>,
    payee: Option<String>,
    /// Minor units.
    amount: Option<i64>,
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
    /// That was changed, if that is asked for.
    payee: Option<&'a str>,
    payee_ts: Option<i64>,
    transfer_id: &'a str,
    transfer_ts: i64,
    amount: Json<Exact>,
    currency: &'a str,
    /// `large_transfer` or `large_transfer_to_changed_payee`.
    reason: &'a str,
}

/// A new device after a credential was reset, and no large transfer from it in time.
#[derive(Output)]
#[output(tag = "type", value = "near_miss")]
struct NearMiss<'a> {
    account_id: &'a str,
    reset_id: &'a str,
    reset_ts: i64,
    device: &'a str,
    device_ts: i64,
    payee: Option<&'a str>,
    payee_ts: Option<i64>,
    /// Which step did not come: `no_changed_payee` or `no_large_transfer`; `too_many_sequences` if it was given up.
    reason: &'a str,
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
    currency: Currency,
    changed_payee: bool,
}

fn takeover(config: Config) -> Pattern<Event> {
    let Config { large_minor, within, changed_payee, resets, .. } = config;
    let device = Pattern::begin("reset")
        .when(move |event: &Event| resets.contains(&event.kind))
        // Who shows an identity card at a branch is the customer.
        .not_followed_by("identified")
        .when(is_identified)
        // Any of them: a second device would hide behind the first.
        .followed_by_any("device")
        .when(|event| event.kind == "device_added" && event.device.is_some())
        .not_followed_by("identified with it")
        .when(is_identified);
    let transfer = if changed_payee {
        device
            .followed_by("payee")
            .when(|event| matches!(&*event.kind, "payee_added" | "payee_changed"))
            .when(|event| event.payee.is_some())
            .one_or_more()
            .greedy()
            .not_followed_by("identified later")
            .when(is_identified)
            .followed_by("transfer")
            .given(|event, so_far| {
                so_far.all("payee").iter().any(|changed| changed.payee == event.payee)
            })
    } else {
        device.followed_by("transfer")
    };
    transfer
        .when(|event| event.kind == "transfer")
        .when(move |event| event.amount.is_some_and(|amount| amount >= large_minor))
        .given(|event, so_far| event.device == so_far["device"].device)
        .within(within)
        .after_match(AfterMatch::SkipPastLast)
        .build()
}

fn is_identified(event: &Event) -> bool {
    event.kind == "identity_verified"
}

#[udf(name = "account-takeover", version = "1.1.0", state = Account, outputs = Out)]
impl AccountTakeover {
    fn new(config: Config) -> Result<Self> {
        config.check()?;
        let Config { currency, changed_payee, .. } = config;
        Ok(Self { currency, changed_payee, pattern: takeover(config) })
    }

    fn process(
        &self,
        happened: Happened,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Happened { event_id, kind, device, payee, amount, currency } = happened;
        let money = amount
            .map(|amount| Money::stated(amount.units(), 4, currency.as_deref(), self.currency));
        let amount = money.transpose()?.map(|money| money.minor);
        let event = Event { event_id, kind, device, payee, amount };
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
        // A sequence that has a device goes on in two ways: towards the transfer, and towards further devices; with a payee
        // likewise. All run out of time at once.
        let mut missed = BTreeSet::new();
        for found in account.events.advance(&self.pattern, Self::EVENTS, ctx)? {
            match found {
                Found::Match(found) => {
                    let (reset, transfer) = (&found["reset"], &found["transfer"]);
                    let (device, device_ts) = device(&found);
                    let changed = self.changed(&found, |event| event.payee == transfer.payee);
                    out.takeover.emit(Takeover {
                        account_id,
                        reset_id: &reset.event_id,
                        reset_ts: reset.event_time(),
                        device,
                        device_ts,
                        payee: changed.and_then(|event| event.payee.as_deref()),
                        payee_ts: changed.map(|event| event.event_time()),
                        transfer_id: &transfer.event_id,
                        transfer_ts: transfer.event_time(),
                        amount: Json(self.currency.exact(transfer.amount.unwrap_or_default())),
                        currency: self.currency.code(),
                        reason: match changed {
                            Some(_) => "large_transfer_to_changed_payee",
                            None => "large_transfer",
                        },
                    });
                }
                // A reset alone is nothing to report.
                Found::Timeout(open) | Found::Dropped(open)
                    if open.get("device").is_none()
                        || !missed.insert(open["reset"].event_id.clone()) => {}
                Found::Timeout(open) => self.missed(account_id, &open, false, out),
                Found::Dropped(open) => self.missed(account_id, &open, true, out),
            }
        }
        Ok(())
    }
}

impl AccountTakeover {
    /// The first change of a payee that this holds for.
    fn changed<'f>(
        &self,
        found: &'f Matched<Event>,
        holds: impl Fn(&Event) -> bool,
    ) -> Option<&'f Taken<Event>> {
        if !self.changed_payee {
            return None;
        }
        found.all("payee").iter().find(|event| holds(event))
    }

    /// Reports a sequence that was not completed.
    fn missed(&self, account_id: &str, open: &Matched<Event>, dropped: bool, out: &mut Out) {
        let (reset, changed) = (&open["reset"], self.changed(open, |_| true));
        let (device, device_ts) = device(open);
        out.near_miss.emit(NearMiss {
            account_id,
            reset_id: &reset.event_id,
            reset_ts: reset.event_time(),
            device,
            device_ts,
            payee: changed.and_then(|event| event.payee.as_deref()),
            payee_ts: changed.map(|event| event.event_time()),
            reason: match changed {
                _ if dropped => "too_many_sequences",
                None if self.changed_payee => "no_changed_payee",
                _ => "no_large_transfer",
            },
        });
    }
}

/// The new device and when it was added.
fn device(found: &Matched<Event>) -> (&str, i64) {
    let added = &found["device"];
    (added.device.as_deref().unwrap_or_default(), added.event_time())
}

#[cfg(test)]
mod tests;
