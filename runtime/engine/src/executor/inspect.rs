//! Looking into a running operator, for `state get`.

use super::Executor;

impl Executor {
    /// The pending timers of a key as (name, time in milliseconds since 1970 UTC), by time. Looks at every timer of the
    /// partition.
    pub fn timers_of(&self, key: &[u8]) -> Vec<(String, i64)> {
        let names = &self.options.description.timers;
        let pending = self.event_timers.iter().chain(self.clock_timers.iter());
        let mut found: Vec<(String, i64)> = pending
            .filter(|timer| timer.key() == key)
            .filter_map(|timer| {
                Some((names.get(usize::from(timer.timer))?.name.clone(), timer.time))
            })
            .collect();
        found.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        found
    }
}
