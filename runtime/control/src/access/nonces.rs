//! That a signed request counts once.
//!
//! A node remembers the nonces of the requests it took, for as long as their time would be taken. They need not be stored:
//! a request is signed for one start of one node, so that no other one, and not the same one later, takes it at all.

use std::collections::HashMap;

/// How far a client's clock may be from the node's, milliseconds.
pub const WINDOW_MS: i64 = 60_000;
/// Most nonces that are remembered: requests beyond are refused until older ones are forgotten.
pub const NONCES_MAX: usize = 200_000;

/// Nonces with their requests' times.
#[derive(Debug, Default)]
pub struct Nonces {
    seen: HashMap<String, i64>,
    /// When old ones were dropped last.
    swept_ms: i64,
}

/// Why a nonce was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It was seen before.
    Replayed,
    /// There are [`NONCES_MAX`] of them.
    Full,
}

impl Nonces {
    /// Takes a nonce of a request whose time is within the window.
    pub fn take(&mut self, nonce: &str, time_ms: i64, now_ms: i64) -> Result<(), Spent> {
        let is_due = now_ms.saturating_sub(self.swept_ms) >= WINDOW_MS;
        if is_due || self.seen.len() >= NONCES_MAX {
            self.seen.retain(|_, time| time.saturating_add(WINDOW_MS) >= now_ms);
            self.swept_ms = now_ms;
        }
        if self.seen.contains_key(nonce) {
            return Err(Spent::Replayed);
        }
        if self.seen.len() >= NONCES_MAX {
            return Err(Spent::Full);
        }
        self.seen.insert(nonce.to_owned(), time_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_remembered_for_as_long_as_its_request_would_be_taken() {
        let mut nonces = Nonces::default();
        let ahead = 1_000 + WINDOW_MS;
        assert_eq!(nonces.take("a", ahead, 1_000), Ok(()));
        assert_eq!(nonces.take("b", 1_000, 1_000), Ok(()));
        // Its time is taken until `ahead + WINDOW_MS`.
        for now in [1_000, ahead, ahead + WINDOW_MS] {
            assert_eq!(nonces.take("a", ahead, now), Err(Spent::Replayed), "{now}");
        }
        assert_eq!(nonces.take("c", ahead + 2 * WINDOW_MS, ahead + 2 * WINDOW_MS), Ok(()));
        assert_eq!(nonces.seen.len(), 1, "older ones are forgotten");
    }

    #[test]
    fn too_many_are_refused_and_none_is_forgotten() {
        let mut nonces = Nonces::default();
        for number in 0..NONCES_MAX {
            nonces.take(&number.to_string(), 5, 5).unwrap();
        }
        assert_eq!(nonces.take("x", 5, 5), Err(Spent::Full));
        assert_eq!(nonces.take("0", 5, 5), Err(Spent::Replayed));
    }
}
