//! Profiles of customers: recency, frequency and monetary value with segments, features of sessions, and drift of preferences.

mod config;
mod preferences;
mod rfm;
mod sessions;

use millstream_udf::prelude::*;

use crate::config::Config;
use crate::preferences::Preferences;
use crate::rfm::{Purchases, RepeatBuying};
use crate::sessions::{Action, Session};

/// Bytes of an action's name or category, at most.
const NAME_BYTES_MAX: usize = 64;
/// Categories that a report of drift names.
const TOP: usize = 3;

/// Something a customer did. The key is the customer.
#[derive(Input)]
struct Event<'a> {
    /// `purchase`, or any other action.
    #[field(rename = "type")]
    kind: &'a str,
    ts: i64,
    category: &'a str,
    amount_minor: Option<i64>,
    currency: Option<&'a str>,
}

/// Where a customer stands.
#[derive(Output)]
#[output(tag = "type", value = "profile")]
struct Profile<'a> {
    customer_id: &'a str,
    ts: i64,
    recency: i64,
    frequency: i64,
    monetary: i64,
    segment: &'a str,
    previous_segment: Option<&'a str>,
    days_since_last: i64,
    purchases: i64,
    total_minor: i64,
    repeat_buying: Json<Option<RepeatBuying>>,
    /// `purchase` or `recency`.
    reason: &'a str,
}

/// A session that is over.
#[derive(Output)]
#[output(tag = "type", value = "session")]
struct SessionEnd<'a> {
    customer_id: &'a str,
    start: i64,
    duration_ms: i64,
    actions: i64,
    purchases: i64,
    amount_minor: Json<i128>,
    categories: Json<Vec<String>>,
    /// `purchase` or `no_purchase`.
    reason: &'a str,
}

/// Preferences have begun or stopped to drift.
#[derive(Output)]
#[output(tag = "type", value = "drift")]
struct Drifted<'a> {
    customer_id: &'a str,
    ts: i64,
    distance_milli: i64,
    lately: Json<Vec<(String, i64)>>,
    /// `preferences_drifted` or `preferences_steady`.
    reason: &'a str,
}

/// An action that came when its session was over; profile and preferences have it.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    customer_id: &'a str,
    ts: i64,
    category: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    profile: Emit<Profile<'static>>,
    session: Emit<SessionEnd<'static>>,
    drift: Emit<Drifted<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a customer's purchases.
#[derive(Default, Serialize, Deserialize)]
struct Buying {
    purchases: Purchases,
    segment: Option<String>,
    /// When the recency score falls.
    falls_at_ms: Option<i64>,
}

/// What is kept of a customer.
#[derive(States)]
struct Customer {
    buying: Value<Buying>,
    preferences: Value<Preferences>,
    sessions: Windows<Session>,
}

/// The UDF.
struct BehaviorAnalytics {
    config: Config,
}

#[udf(name = "behavior-analytics", version = "1.0.0", state = Customer, outputs = Out)]
impl BehaviorAnalytics {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        event: Event<'_>,
        customer: &mut Customer,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Event { ts, category, .. } = event;
        let bought = self.check(&event)?;
        let customer_id = ctx.key_text()?;
        if let Some(amount) = bought {
            let buying = customer.buying.get_or_default();
            buying.purchases.add(ts, amount)?;
            let at_ms = buying.purchases.last_ms;
            if let Some(falls_at) = buying.falls_at_ms {
                ctx.delete_timer(Self::RECENCY, falls_at);
            }
            buying.falls_at_ms = buying.purchases.next_fall(at_ms, &self.config.rfm);
            if let Some(falls_at) = buying.falls_at_ms {
                ctx.set_timer(Self::RECENCY, falls_at);
            }
            self.give_profile(buying, customer_id, at_ms, "purchase", out);
        }
        let preferences = customer.preferences.get_or_default();
        preferences.add(category, ts, &self.config.drift);
        if let Some(distance_milli) = preferences.change(&self.config.drift) {
            let reason =
                if preferences.drifted { "preferences_drifted" } else { "preferences_steady" };
            let lately = Json(preferences.lately(TOP));
            out.drift.emit(Drifted { customer_id, ts, distance_milli, lately, reason });
        }
        if customer.sessions.add(&Action { ts, category, bought }).is_late() {
            out.late.emit(Late { customer_id, ts, category });
        }
        Ok(())
    }

    /// The last purchase is so long ago that the recency score falls.
    #[timer(event_time)]
    fn recency(
        &self,
        customer: &mut Customer,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        let Some(buying) = customer.buying.get_mut() else { return Ok(()) };
        buying.falls_at_ms = buying.purchases.next_fall(ctx.time(), &self.config.rfm);
        if let Some(falls_at) = buying.falls_at_ms {
            ctx.set_timer(Self::RECENCY, falls_at);
        }
        self.give_profile(buying, ctx.key_text()?, ctx.time(), "recency", out);
        Ok(())
    }

    #[window(sessions = Window::session(self.config.session_gap))]
    fn session(session: Fired<Session>, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
        let session = session.result;
        out.session.emit(SessionEnd {
            customer_id: ctx.key_text()?,
            start: session.first_ms,
            duration_ms: session.last_ms.saturating_sub(session.first_ms),
            actions: session.actions,
            purchases: session.purchases,
            amount_minor: Json(session.amount),
            categories: Json(session.categories.into_iter().collect()),
            reason: if session.purchases > 0 { "purchase" } else { "no_purchase" },
        });
        Ok(())
    }
}

impl BehaviorAnalytics {
    /// The amount of a purchase that makes sense; none for other actions that do.
    fn check(&self, event: &Event<'_>) -> Result<Option<i64>> {
        for (field, name) in [("type", event.kind), ("category", event.category)] {
            let bytes = name.len();
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&bytes),
                "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
            );
        }
        if event.kind != "purchase" {
            return Ok(None);
        }
        let (Some(amount), Some(currency)) = (event.amount_minor, event.currency) else {
            bail!("a purchase needs `amount_minor` and `currency`");
        };
        ensure!(amount > 0, "a purchase of {amount}; it must be above 0");
        ensure!(
            currency == self.config.currency.code(),
            "a purchase in {currency}; it must be in {}",
            self.config.currency
        );
        Ok(Some(amount))
    }

    fn give_profile(
        &self,
        buying: &mut Buying,
        customer_id: &str,
        ts: i64,
        reason: &str,
        out: &mut Out,
    ) {
        let Some(standing) = buying.purchases.standing(ts, &self.config.rfm) else { return };
        let previous = buying.segment.replace(standing.segment.clone());
        out.profile.emit(Profile {
            customer_id,
            ts,
            recency: standing.recency,
            frequency: standing.frequency,
            monetary: standing.monetary,
            segment: &standing.segment,
            previous_segment: previous.as_deref().filter(|previous| *previous != standing.segment),
            days_since_last: standing.days_since_last,
            purchases: buying.purchases.count,
            total_minor: buying.purchases.total,
            repeat_buying: Json(buying.purchases.repeat_buying(ts)),
            reason,
        });
    }
}

#[cfg(test)]
mod tests;
