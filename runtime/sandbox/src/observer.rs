//! What a guest says beside its results.

/// How much a log line of a guest matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// For the curious.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

/// Takes a guest's log lines and metrics. Called while the guest runs, so it must be quick and
/// must not call the guest. Nothing that comes here is part of a result: a call that is rolled
/// back has spoken all the same.
pub trait GuestObserver: Send {
    /// A message of at most 4 KiB.
    fn log(&mut self, level: LogLevel, message: &str);
    /// Messages of one call that were over its limits and are lost.
    fn log_dropped(&mut self, messages: u64);
    /// Adds to a counter; the name has been checked.
    fn counter_add(&mut self, name: &str, delta: u64);
    /// Records a value in a histogram; the name has been checked, the value is finite.
    fn histogram_record(&mut self, name: &str, value: f64);
}

/// Nobody listens.
pub struct Unobserved;

impl GuestObserver for Unobserved {
    fn log(&mut self, _level: LogLevel, _message: &str) {}
    fn log_dropped(&mut self, _messages: u64) {}
    fn counter_add(&mut self, _name: &str, _delta: u64) {}
    fn histogram_record(&mut self, _name: &str, _value: f64) {}
}
