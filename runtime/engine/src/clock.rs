//! The one place where the engine meets the wall clock.
//!
//! A clock that is set back must not stand still until it is where it was: partitions would pace nothing for so long, and
//! whoever reads them would wait. So the time of a process is a monotonic clock, ahead of which the wall clock moves it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// By how much the wall clock of this process is wrong on purpose, milliseconds.
static SHIFT_MS: AtomicI64 = AtomicI64::new(0);
/// The furthest that the wall clock was ahead of the monotonic one, milliseconds.
static AHEAD_MS: AtomicI64 = AtomicI64::new(i64::MIN);
/// Where the monotonic clock begins.
static BEGUN: OnceLock<Instant> = OnceLock::new();

/// Makes the wall clock jump, forward or back. For tests: nothing in a shipped binary does it.
pub fn jump(by_ms: i64) {
    SHIFT_MS.fetch_add(by_ms, Ordering::Relaxed);
}

/// Milliseconds since 1970 UTC; never regresses within a process.
pub fn now_ms() -> i64 {
    let elapsed = BEGUN.get_or_init(Instant::now).elapsed().as_millis() as i64;
    let ahead = wall_ms() - elapsed;
    elapsed + ahead.max(AHEAD_MS.fetch_max(ahead, Ordering::Relaxed))
}

fn wall_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "processing time enters here and is committed")]
    let now = SystemTime::now();
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    now + SHIFT_MS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on() {
        let before = now_ms();
        jump(-600_000);
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 20 {
            std::hint::spin_loop();
        }
        let after = now_ms();
        jump(600_000);
        assert!((before + 15..before + 60_000).contains(&after), "{before}, then {after}");
    }
}
