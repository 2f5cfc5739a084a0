//! Durations and points in time as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A duration: a whole number of `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Its length in milliseconds.
    pub ms: u64,
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration")]
pub struct InvalidDuration(String);

/// Units, largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// From milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Duration { ms }
    }

    /// From seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Duration { ms: seconds * 1_000 }
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration(text.to_owned());
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (digits, unit) = text.split_at(unit_at);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(*factor).map(Duration::from_ms).ok_or_else(invalid)
    }
}

/// In the largest unit that is exact.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = match self.ms {
            0 => ("s", 1_000),
            ms => UNITS.into_iter().find(|(_, factor)| ms % factor == 0).unwrap_or(("ms", 1)),
        };
        write!(f, "{}{unit}", self.ms / factor)
    }
}

/// A point in time, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Milliseconds since 1970 UTC.
    pub ms: i64,
}

/// A text that is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a point in time")]
pub struct InvalidTimestamp(String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = || InvalidTimestamp(text.to_owned());
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| invalid())?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000))
            .map(|ms| Timestamp { ms })
            .map_err(|_| invalid())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.ms) * 1_000_000)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} ms since 1970", self.ms),
        }
    }
}

/// serde as text, through `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($($name:ident),*) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                }
            }
        )*
    };
}
serde_as_text!(Duration, Timestamp);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_shown_in_their_largest_unit() {
        for (text, ms, shown) in [
            ("500ms", 500, "500ms"),
            ("5s", 5_000, "5s"),
            ("120s", 120_000, "2m"),
            ("24h", 86_400_000, "1d"),
            ("0ms", 0, "0s"),
            ("1500ms", 1_500, "1500ms"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!((duration.ms, duration.to_string().as_str()), (ms, shown), "{text}");
        }
        for text in
            ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "5sec", "18446744073709551615h", "٣s"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_with_their_zone() {
        let time: Timestamp = "2026-01-31T02:00:00.123456+02:00".parse().unwrap();
        assert_eq!(time.ms, 1_769_817_600_123);
        assert_eq!(time.to_string(), "2026-01-31T00:00:00.123Z");
        assert_eq!("1969-12-31T23:59:59.9999Z".parse::<Timestamp>().unwrap().ms, -1);
        assert!("2026-01-31".parse::<Timestamp>().is_err());
    }

    proptest! {
        #[test]
        fn any_duration_reads_back(ms in any::<u64>()) {
            let duration = Duration::from_ms(ms);
            prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }

        #[test]
        fn any_time_reads_back(ms in -60_000_000_000_000i64..250_000_000_000_000) {
            let time = Timestamp { ms };
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<Duration>();
            let _ = text.parse::<Timestamp>();
        }
    }
}
