//! A unit's events per interval: learning what is usual, and finding what is not. In millionths of an event.

use std::collections::BTreeMap;

use finance::charts::{Cusum, Ewma, ONE, Side};
use millstream_udf::prelude::*;

use crate::config::{Config, deviation_of};

/// Events of an interval, at most.
pub const COUNT_MAX: i64 = 1_000_000_000;

/// What may be unusual about a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Signal {
    /// The moving average is too high, or too low: a shift that came just now.
    EwmaHigh,
    EwmaLow,
    /// What gathered above, or below, the mean is too much: a small shift that lasts.
    CusumHigh,
    CusumLow,
}

impl Signal {
    /// The reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::EwmaHigh => "ewma_high",
            Self::EwmaLow => "ewma_low",
            Self::CusumHigh => "cusum_high",
            Self::CusumLow => "cusum_low",
        }
    }
}

/// A unit's rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Counts of intervals that are open, by their begin.
    pub open: BTreeMap<i64, i64>,
    /// End of the last closed interval.
    pub closed: Option<i64>,
    /// Closed intervals without an event, in a row.
    pub quiet: u32,
    /// While learning: intervals and their events.
    learned: (u32, i64),
    /// Mean and deviation once learned.
    usual: Option<(i64, i64)>,
    /// The charts.
    average: Option<Ewma>,
    sums: Cusum,
    /// Signals that are on, with the end of the interval that raised them.
    raised: BTreeMap<Signal, i64>,
}

/// A signal that goes on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub signal: Signal,
    /// Whether it goes on.
    pub raised: bool,
    /// End of the interval that raised it.
    pub since: i64,
    /// What is charted, and its limit.
    pub value: i64,
    pub limit: i64,
    /// What is usual.
    pub mean: i64,
    pub deviation: i64,
}

impl Rate {
    /// Takes in what an interval that ends at `end` had; gives what has changed.
    pub fn close(&mut self, count: i64, end: i64, unit: &str, config: &Config) -> Vec<Change> {
        self.closed = Some(end);
        self.quiet = if count == 0 { self.quiet.saturating_add(1) } else { 0 };
        let Some((mean, deviation)) = config.given(unit).or(self.usual) else {
            self.learn(count, config);
            return Vec::new();
        };
        let (ewma, cusum) = config.charts((mean, deviation));
        let value = count * ONE;
        let average = self.average.get_or_insert(ewma.start());
        let of_average = ewma.next(average, value);
        let average = average.value;
        cusum.next(&mut self.sums, value);
        // A long outage would otherwise hide its end for as long again.
        self.sums.high = self.sums.high.min(2 * cusum.limit);
        self.sums.low = self.sums.low.min(2 * cusum.limit);
        let width = ewma.limit();
        let signals = [
            (Signal::EwmaHigh, of_average == Some(Side::High), average, mean + width),
            (Signal::EwmaLow, of_average == Some(Side::Low), average, mean - width),
            (Signal::CusumHigh, self.sums.high > cusum.limit, self.sums.high, cusum.limit),
            (Signal::CusumLow, self.sums.low > cusum.limit, self.sums.low, cusum.limit),
        ];
        let mut changes = Vec::new();
        for (signal, on, value, limit) in signals {
            let since = self.raised.get(&signal).copied();
            if on == since.is_some() {
                continue;
            }
            if on {
                self.raised.insert(signal, end);
            } else {
                self.raised.remove(&signal);
            }
            let since = since.unwrap_or(end);
            changes.push(Change { signal, raised: on, since, value, limit, mean, deviation });
        }
        changes
    }

    fn learn(&mut self, count: i64, config: &Config) {
        let (intervals, events) = &mut self.learned;
        *intervals += 1;
        *events += count;
        if *intervals >= config.learn {
            // At most 10^9 events in each of 10^4 intervals.
            let mean = (i128::from(*events) * i128::from(ONE) / i128::from(*intervals)) as i64;
            self.usual = Some((mean, deviation_of(mean)));
        }
    }
}
