//! The last log lines of guests, kept in memory for `millstream logs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::clock;

/// Lines kept per stage.
pub const LINES_MAX: usize = 1_000;
/// Bytes of messages kept per stage; a line has at most 4 KiB.
const BYTES_MAX: usize = 256 << 10;

/// What a guest said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Ascends over all lines of a node, also when it is started again.
    #[serde(default)]
    pub number: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The stage.
    pub stage: String,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// What.
    pub message: String,
}

/// The last lines of every stage of a process.
#[derive(Debug)]
pub struct GuestLogs {
    next: AtomicU64,
    /// By pipeline and stage.
    rings: Mutex<BTreeMap<String, BTreeMap<String, Ring>>>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Default for GuestLogs {
    fn default() -> Self {
        // A start of the node numbers on behind all earlier ones: no guest logs a thousand lines per millisecond for long.
        let first = u64::try_from(clock::now_ms()).unwrap_or(0).saturating_mul(1_000);
        Self { next: AtomicU64::new(first), rings: Mutex::default() }
    }
}

impl GuestLogs {
    /// Keeps a line, and forgets the stage's oldest beyond the limits.
    pub fn push(&self, pipeline: &str, stage: &str, level: &str, message: &str) -> LogLine {
        let line = LogLine {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            at_ms: clock::now_ms(),
            stage: stage.to_owned(),
            level: level.to_owned(),
            message: message.to_owned(),
        };
        let mut rings = self.rings.lock();
        let ring = entry(entry(&mut rings, pipeline), stage);
        ring.bytes += line.message.len();
        ring.lines.push_back(line.clone());
        while ring.lines.len() > LINES_MAX || ring.bytes > BYTES_MAX {
            let Some(oldest) = ring.lines.pop_front() else { break };
            ring.bytes -= oldest.message.len();
        }
        line
    }

    /// The last `limit` lines of a pipeline or of one of its stages, oldest first.
    pub fn last(&self, pipeline: &str, stage: Option<&str>, limit: usize) -> Vec<LogLine> {
        let rings = self.rings.lock();
        let Some(stages) = rings.get(pipeline) else { return Vec::new() };
        let wanted = stages.iter().filter(|(name, _)| stage.is_none_or(|stage| stage == *name));
        let mut lines: Vec<LogLine> =
            wanted.flat_map(|(_, ring)| ring.lines.iter().rev().take(limit).cloned()).collect();
        lines.sort_by_key(|line| line.number);
        lines.drain(..lines.len().saturating_sub(limit));
        lines
    }

    /// Forgets a pipeline's lines.
    pub fn forget(&self, pipeline: &str) {
        self.rings.lock().remove(pipeline);
    }
}

/// The value of a key, made if it is not there; only then the key is copied.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("it was inserted above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_both_limits() {
        let logs = GuestLogs::default();
        for number in 0..LINES_MAX + 5 {
            logs.push("p", "a", "info", &number.to_string());
        }
        logs.push("p", "b", "warn", "other");
        logs.push("q", "a", "info", "another pipeline's");
        let lines = logs.last("p", Some("a"), usize::MAX);
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0].message, "5");
        let last: Vec<_> = logs.last("p", None, 2).into_iter().map(|line| line.message).collect();
        assert_eq!(last, [(LINES_MAX + 4).to_string(), "other".to_owned()]);
        for _ in 0..200 {
            logs.push("p", "b", "info", &"x".repeat(4 << 10));
        }
        assert_eq!(logs.last("p", Some("b"), usize::MAX).len(), BYTES_MAX >> 12);
        logs.forget("p");
        assert!(logs.last("p", None, 10).is_empty());
        assert_eq!(logs.last("q", None, 10).len(), 1);
    }
}
