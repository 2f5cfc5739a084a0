//! A stretch of time.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// From `start` until before `end`, milliseconds since 1970 UTC. That of all time ends at `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    pub end: i64,
}

impl Span {
    /// All time.
    pub const GLOBAL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// Its last millisecond: the window fires when the watermark reaches it.
    #[inline]
    pub fn last(self) -> i64 {
        self.end.saturating_sub(1)
    }

    /// Whether two overlap, or one begins where the other ends.
    #[inline]
    pub fn touches(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether two overlap, or only touch if that is enough.
    #[inline]
    pub fn meets(self, other: Self, touching_is_enough: bool) -> bool {
        if touching_is_enough {
            self.touches(other)
        } else {
            self.start < other.end && other.start < self.end
        }
    }

    /// The shortest that holds both.
    #[inline]
    pub fn cover(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Start and length: the length is a small number.
impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.start, self.end.wrapping_sub(self.start) as u64).serialize(serializer)
    }
}

impl<'d> Deserialize<'d> for Span {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, length) = <(i64, u64)>::deserialize(deserializer)?;
        Ok(Self { start, end: start.wrapping_add(length as i64) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching() {
        let span = |start, end| Span { start, end };
        assert!(span(0, 10).touches(span(10, 20)));
        assert!(span(10, 20).touches(span(0, 10)));
        assert!(span(0, 30).touches(span(10, 20)));
        assert!(!span(0, 10).touches(span(11, 20)));
        assert!(span(0, 10).meets(span(10, 20), true));
        assert!(!span(0, 10).meets(span(10, 20), false));
        assert!(span(0, 10).meets(span(9, 20), false));
        assert_eq!(span(0, 10).cover(span(5, 20)), span(0, 20));
    }

    #[test]
    fn encoding() {
        for (span, bytes) in [
            (Span { start: 1_700_000_040_000, end: 1_700_000_100_000 }, 9),
            (Span { start: -5, end: 7 }, 2),
            (Span::GLOBAL, 20),
        ] {
            let encoded = postcard::to_stdvec(&span).unwrap();
            assert_eq!(encoded.len(), bytes);
            assert_eq!(postcard::from_bytes::<Span>(&encoded).unwrap(), span);
        }
    }
}
