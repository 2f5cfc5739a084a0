//! Sessions of an app's customers: how long, how far down a funnel, whether they convert, bounce or change the device.

mod config;
mod session;

use millstream_udf::prelude::*;

use crate::config::{Checked, Config};
use crate::session::{Event, Reached, summary};

/// Bytes of a name or an id, at most.
const NAME_BYTES_MAX: usize = 128;
/// Events of a session, at most, unless sessions merge: two thousand fit the fuel of the call that tells a session.
const EVENTS_MAX: usize = 1_000;

/// Something a customer did in the app. The key is the customer.
#[derive(Input)]
struct Action<'a> {
    event_id: &'a str,
    /// A step of the funnel, or anything else.
    #[field(rename = "type")]
    kind: &'a str,
    page: Option<&'a str>,
    device: &'a str,
}

/// A session that is over.
#[derive(Output)]
#[output(tag = "type", value = "session")]
struct SessionEnd<'a> {
    customer_id: &'a str,
    start: i64,
    duration_ms: i64,
    events: i64,
    pages: i64,
    entry_page: Option<&'a str>,
    exit_page: Option<&'a str>,
    step: Option<&'a str>,
    funnel: Json<Vec<Reached>>,
    converted: bool,
    bounced: bool,
    devices: i64,
    device_changes: i64,
    /// `converted`, `abandoned`, `bounced` or `browsed`.
    reason: &'a str,
}

/// A funnel that was begun and not finished.
#[derive(Output)]
#[output(tag = "type", value = "abandoned")]
struct Abandoned<'a> {
    customer_id: &'a str,
    start: i64,
    step: &'a str,
    step_ts: i64,
    next_step: &'a str,
    waited_ms: i64,
    device: &'a str,
    /// `device_changed`, `went_elsewhere` or `stopped`.
    reason: &'a str,
}

/// An event that came when its session was over.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    customer_id: &'a str,
    event_id: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    session: Emit<SessionEnd<'static>>,
    abandoned: Emit<Abandoned<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a customer.
#[derive(States)]
struct Customer {
    sessions: Windows<Elements<Event>>,
}

/// The UDF.
struct SessionAnalytics {
    config: Checked,
}

#[udf(name = "session-analytics", version = "1.0.0", state = Customer, outputs = Out)]
impl SessionAnalytics {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        action: Action<'_>,
        customer: &mut Customer,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Action { event_id, kind, page, device } = action;
        for (field, name) in [
            ("event_id", event_id),
            ("type", kind),
            ("page", page.unwrap_or("-")),
            ("device", device),
        ] {
            let bytes = name.len();
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&bytes),
                "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
            );
        }
        let ts = ctx.event_time();
        let gap_ms = self.config.gap.as_millis() as i64;
        let full = customer.sessions.open().any(|(start, end, events)| {
            (start..=end.saturating_add(gap_ms)).contains(&ts.saturating_add(gap_ms))
                && events.len() >= EVENTS_MAX
        });
        ensure!(!full, "more than {EVENTS_MAX} events in a session");
        let event = Event {
            ts,
            event_id: event_id.to_owned(),
            kind: kind.to_owned(),
            page: page.map(str::to_owned),
            device: device.to_owned(),
        };
        if customer.sessions.add(&event).is_late() {
            out.late.emit(Late { customer_id: ctx.key_text()?, event_id, ts });
        }
        Ok(())
    }

    #[window(sessions = Window::session(self.config.gap))]
    fn session(
        &self,
        session: Fired<Vec<Event>>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let (customer_id, events) = (ctx.key_text()?, session.result.len() as i64);
        let Some(summary) = summary(session.result, &self.config) else { return Ok(()) };
        let step = summary.reached.last().map(|reached| reached.step.clone());
        if let (Some(left), Some(step)) = (&summary.left, &step) {
            out.abandoned.emit(Abandoned {
                customer_id,
                start: summary.start,
                step,
                step_ts: left.step_ts,
                next_step: &left.next_step,
                waited_ms: left.waited_ms,
                device: &left.device,
                reason: left.reason,
            });
        }
        out.session.emit(SessionEnd {
            customer_id,
            start: summary.start,
            duration_ms: summary.duration_ms,
            events,
            pages: summary.pages,
            entry_page: summary.entry_page.as_deref(),
            exit_page: summary.exit_page.as_deref(),
            step: step.as_deref(),
            funnel: Json(summary.reached),
            converted: summary.converted,
            bounced: summary.bounced,
            devices: summary.devices,
            device_changes: summary.device_changes,
            reason: summary.outcome.code(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
