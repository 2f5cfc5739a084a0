//! The reference model: Flink's window operator as plainly as it can be written, one record after the other, all
//! windows of a key in one list that is searched from end to end.

use std::collections::BTreeMap;

use super::Timing;

/// How windows are laid out.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Fixed { size: i64, slide: i64, offset: i64 },
    Session { gap: i64 },
    Global,
}

/// All that a window's layout says.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub kind: Kind,
    pub lateness: i64,
    pub every_records: Option<usize>,
    pub every_ms: Option<i64>,
    /// Of processing time.
    pub every_processing_ms: Option<i64>,
    pub discarding: bool,
}

/// What a window fired: when, from, until, and what was in it. Nothing: a record that is late, with its time.
pub type Out = (Option<Timing>, i64, i64, Vec<i64>);

struct Held {
    start: i64,
    end: i64,
    items: Vec<i64>,
    /// Records since the last firing, and when the triggers fire.
    since: usize,
    early_at: Option<i64>,
    processing_at: Option<i64>,
    fired: bool,
}

impl Held {
    /// Its last millisecond; the global window has none.
    fn last(&self) -> Option<i64> {
        (self.start > i64::MIN).then_some(self.end - 1)
    }
}

pub struct Model {
    layout: Layout,
    watermark: i64,
    now: i64,
    keys: BTreeMap<String, Vec<Held>>,
    /// By key.
    pub out: BTreeMap<String, Vec<Out>>,
}

impl Model {
    /// A model at this processing time.
    pub fn new(layout: Layout, now: i64) -> Self {
        Self { layout, watermark: i64::MIN, now, keys: BTreeMap::new(), out: BTreeMap::new() }
    }

    pub fn record(&mut self, key: &str, time: i64, n: i64) {
        let spans: Vec<(i64, i64)> = match self.layout.kind {
            Kind::Fixed { size, slide, offset } => (time - size + 1..=time)
                .filter(|start| (start - offset).rem_euclid(slide) == 0)
                .map(|start| (start, start + size))
                .collect(),
            Kind::Session { gap } => vec![(time, time + gap)],
            Kind::Global => vec![(i64::MIN, i64::MAX)],
        };
        let windows = self.keys.entry(key.into()).or_default();
        let out = self.out.entry(key.into()).or_default();
        let mut late = true;
        for (start, end) in spans {
            let mut window = Held {
                start,
                end,
                items: vec![],
                since: 0,
                early_at: None,
                processing_at: None,
                fired: false,
            };
            let joins = |other: &Held| match self.layout.kind {
                Kind::Fixed { .. } | Kind::Global => (other.start, other.end) == (start, end),
                Kind::Session { .. } => other.start <= end && start <= other.end,
            };
            let mut joined: Vec<Held> = windows.extract_if(.., |other| joins(other)).collect();
            joined.sort_by_key(|other| other.start);
            for other in joined {
                window.start = window.start.min(other.start);
                window.end = window.end.max(other.end);
                window.items.extend(other.items);
                window.since += other.since;
                window.early_at = window.early_at.into_iter().chain(other.early_at).min();
                window.processing_at =
                    window.processing_at.into_iter().chain(other.processing_at).min();
            }
            let last = window.last();
            if last.is_some_and(|last| last + self.layout.lateness <= self.watermark) {
                continue;
            }
            late = false;
            window.items.push(n);
            window.since += 1;
            window.fired = last.is_some_and(|last| last <= self.watermark);
            if window.fired {
                fire(&mut window, Timing::Late, self.layout.discarding, out);
            } else if self.layout.every_records.is_some_and(|count| window.since >= count) {
                fire(&mut window, Timing::Early, self.layout.discarding, out);
            } else {
                if let (Some(every), None) = (self.layout.every_ms, window.early_at) {
                    let next = (time.max(self.watermark).div_euclid(every) + 1) * every;
                    window.early_at =
                        Some(next).filter(|next| last.is_none_or(|last| *next < last));
                }
                if let (Some(every), None) = (self.layout.every_processing_ms, window.processing_at)
                {
                    window.processing_at = Some((self.now.div_euclid(every) + 1) * every);
                }
            }
            windows.push(window);
        }
        if late {
            out.push((None, time, time, vec![n]));
        }
    }

    pub fn advance(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(watermark);
        for (key, windows) in &mut self.keys {
            let out = self.out.entry(key.clone()).or_default();
            // The earliest of all that is due, over and over.
            loop {
                let due = windows.iter().enumerate().filter_map(|(i, window)| {
                    let end = window.last().filter(|_| !window.fired);
                    let time = window.early_at.into_iter().chain(end).min()?;
                    (time <= self.watermark).then_some((time, window.start, i))
                });
                let Some((time, _, i)) = due.min() else { break };
                let window = &mut windows[i];
                if Some(time) == window.last() {
                    window.fired = true;
                    fire(window, Timing::OnTime, self.layout.discarding, out);
                } else {
                    fire(window, Timing::Early, self.layout.discarding, out);
                }
            }
            windows.retain(|window| {
                window.last().is_none_or(|last| last + self.layout.lateness > self.watermark)
            });
        }
    }

    /// Processing time goes on to `now`.
    pub fn advance_processing(&mut self, now: i64) {
        self.now = self.now.max(now);
        for (key, windows) in &mut self.keys {
            let out = self.out.entry(key.clone()).or_default();
            loop {
                let due = windows.iter().enumerate().filter_map(|(i, window)| {
                    let time = window.processing_at.filter(|_| !window.fired)?;
                    (time <= self.now).then_some((time, window.start, i))
                });
                let Some((_, _, i)) = due.min() else { break };
                fire(&mut windows[i], Timing::Early, self.layout.discarding, out);
            }
        }
    }
}

fn fire(window: &mut Held, timing: Timing, discarding: bool, out: &mut Vec<Out>) {
    if !window.items.is_empty() {
        out.push((Some(timing), window.start, window.end, window.items.clone()));
    }
    if discarding {
        window.items.clear();
    }
    window.since = 0;
    window.early_at = None;
    window.processing_at = None;
}
