//! Counters and histograms for the operator.

use crate::host;

/// Counters and histograms named by the UDF, exported per pipeline and stage. A handler asks for
/// them by taking `metrics: &Metrics`. At most 50 names of at most 64 characters (`a-z`, `0-9`,
/// `_`); others trap. They are not part of the result: a call that is rolled back may have counted.
pub struct Metrics(());

impl Metrics {
    #[doc(hidden)]
    pub const fn granted() -> Self {
        Self(())
    }

    /// Adds to a counter.
    pub fn count(&self, name: &str, delta: u64) {
        host::counter_add(name, delta);
    }

    /// Records a value in a histogram.
    pub fn record(&self, name: &str, value: f64) {
        host::histogram_record(name, value);
    }
}
