//! How far event time is in each input of a stage, so that no reader runs ahead of the others without bound.

use std::sync::atomic::{AtomicI64, Ordering};

use millstream_core::ids::WATERMARK_MIN;
use tokio::sync::watch;

/// What counts as the watermark of an input that nobody waits for.
const NOT_WAITED_FOR: i64 = i64::MAX;

/// The watermarks of a stage's inputs as their readers have handed them over.
pub struct Pace {
    watermarks: Vec<AtomicI64>,
    changed: watch::Sender<()>,
}

impl Pace {
    pub fn new(inputs: usize) -> Self {
        Self {
            watermarks: (0..inputs).map(|_| AtomicI64::new(WATERMARK_MIN)).collect(),
            changed: watch::Sender::new(()),
        }
    }

    /// Input `input` has come to `watermark`, milliseconds. While it is idle nobody waits for it.
    pub fn reached(&self, input: usize, watermark: i64, idle: bool) {
        let Some(own) = self.watermarks.get(input) else { return };
        let now = if idle { NOT_WAITED_FOR } else { watermark };
        if own.swap(now, Ordering::Relaxed) != now {
            self.changed.send_replace(());
        }
    }

    /// Waits until `watermark` of input `input` is ahead of the least of the others by `within_ms` at most.
    pub async fn wait(&self, input: usize, watermark: i64, within_ms: i64) {
        let mut changed = self.changed.subscribe();
        while watermark.saturating_sub(self.least_without(input)) > within_ms {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn least_without(&self, input: usize) -> i64 {
        let others = self.watermarks.iter().enumerate().filter(|(other, _)| *other != input);
        others.map(|(_, w)| w.load(Ordering::Relaxed)).min().unwrap_or(NOT_WAITED_FOR)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_fast_input_waits_for_the_slowest_that_is_not_idle() {
        let pace = Pace::new(3);
        let is_free = |watermark| pace.wait(0, watermark, 10).now_or_never().is_some();
        assert!(is_free(WATERMARK_MIN), "nothing is known of any input");
        assert!(!is_free(0));
        pace.reached(1, 100, false);
        assert!(!is_free(105), "input 2 has said nothing");
        pace.reached(2, 95, false);
        assert!(is_free(105) && !is_free(106));
        pace.reached(2, 95, true);
        assert!(is_free(110) && !is_free(111));
        pace.reached(2, 96, false);
        assert!(is_free(106) && !is_free(107));
    }

    #[test]
    fn an_input_waits_for_itself_never_and_is_woken() {
        let pace = Pace::new(2);
        let mut waiting = Box::pin(pace.wait(0, 50, 10));
        assert!(waiting.as_mut().now_or_never().is_none());
        pace.reached(0, 50, false);
        assert!(waiting.as_mut().now_or_never().is_none());
        pace.reached(1, 40, false);
        assert!(waiting.as_mut().now_or_never().is_some());
        assert!(Pace::new(1).wait(0, 50, 0).now_or_never().is_some());
    }
}
