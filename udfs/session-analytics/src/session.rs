//! What a session tells: how far down the funnel the customer came, and on which devices.

use millstream_udf::prelude::*;

use crate::config::Checked;

/// Something that a customer did in the app, as it is kept until the session is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    // In this order: events are sorted by time, those of the same time by id.
    pub ts: i64,
    pub event_id: String,
    pub kind: String,
    pub page: Option<String>,
    pub device: String,
}

/// A step of the funnel that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    pub step: String,
    /// Since the session's first event.
    pub after_ms: i64,
}

/// What came of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps of the funnel.
    Converted,
    /// Some, far enough to count.
    Abandoned,
    /// One page, shortly.
    Bounced,
    /// Anything else.
    Browsed,
}

impl Outcome {
    /// Its reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Abandoned => "abandoned",
            Self::Bounced => "bounced",
            Self::Browsed => "browsed",
        }
    }
}

/// The features of a session that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub start: i64,
    pub duration_ms: i64,
    /// Distinct ones.
    pub pages: i64,
    pub entry_page: Option<String>,
    pub exit_page: Option<String>,
    pub reached: Vec<Reached>,
    pub converted: bool,
    pub bounced: bool,
    /// Distinct ones.
    pub devices: i64,
    /// How often an event came from another device than the one before.
    pub device_changes: i64,
    pub outcome: Outcome,
    /// Where and why the funnel was left, if it was abandoned.
    pub left: Option<Left>,
}

/// How a funnel was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub step_ts: i64,
    pub next_step: String,
    /// From the last step to the end of the session.
    pub waited_ms: i64,
    pub device: String,
    /// `device_changed`, `went_elsewhere` or `stopped`.
    pub reason: &'static str,
}

/// What the events of a session tell, in whatever order they came. Nothing without events.
pub fn summary(mut events: Vec<Event>, config: &Checked) -> Option<Summary> {
    events.sort();
    let (first, last) = (events.first()?, events.last()?);
    let (start, end) = (first.ts, last.ts);
    let pages: Vec<&String> = events.iter().filter_map(|event| event.page.as_ref()).collect();
    let distinct_pages = distinct(pages.clone());
    let (entry_page, exit_page) = (pages.first().copied().cloned(), pages.last().copied().cloned());

    let mut reached = Vec::new();
    let mut last_step = 0;
    for (place, event) in events.iter().enumerate() {
        if config.funnel.get(reached.len()) == Some(&event.kind) {
            reached.push(Reached { step: event.kind.clone(), after_ms: event.ts - start });
            last_step = place;
        }
    }
    let converted = reached.len() == config.funnel.len();
    let bounced = !converted && distinct_pages <= 1 && end - start < config.engaged_after_ms;
    let abandoned = !converted && reached.len() >= config.abandoned_from;
    let left = abandoned.then(|| {
        let (step, rest) = (&events[last_step], &events[last_step + 1..]);
        let reason = if rest.iter().any(|event| event.device != step.device) {
            "device_changed"
        } else if rest.is_empty() {
            "stopped"
        } else {
            "went_elsewhere"
        };
        Left {
            step_ts: step.ts,
            next_step: config.funnel[reached.len()].clone(),
            waited_ms: end - step.ts,
            device: step.device.clone(),
            reason,
        }
    });
    Some(Summary {
        start,
        duration_ms: end - start,
        pages: distinct_pages,
        entry_page,
        exit_page,
        converted,
        bounced,
        devices: distinct(events.iter().map(|event| &event.device).collect()),
        device_changes: events.windows(2).filter(|pair| pair[0].device != pair[1].device).count()
            as i64,
        outcome: match (converted, abandoned, bounced) {
            (true, ..) => Outcome::Converted,
            (_, true, _) => Outcome::Abandoned,
            (.., true) => Outcome::Bounced,
            _ => Outcome::Browsed,
        },
        reached,
        left,
    })
}

fn distinct(mut names: Vec<&String>) -> i64 {
    names.sort_unstable();
    names.dedup();
    names.len() as i64
}
