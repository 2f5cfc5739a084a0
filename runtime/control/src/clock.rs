//! The one place where the control plane meets the wall clock and the system's randomness. The clock
//! labels records, and decides one thing: whether a signed request is old ([`crate::access`]).

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_core::ids::Incarnation;

/// Milliseconds since 1970 UTC.
pub fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "records carry the time at which they were made")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A number that nobody had before.
///
/// # Panics
/// If the operating system has no randomness, without which no identity can be made.
pub fn random_incarnation() -> Incarnation {
    Incarnation(u128::from_le_bytes(random_bytes()))
}

/// Bytes that nobody can guess.
///
/// # Panics
/// If the operating system has no randomness, without which no key can be made.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}
