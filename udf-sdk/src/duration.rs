//! Durations in a configuration: `#[serde(with = "millstream_udf::duration")]` on a [`Duration`] reads what
//! manifests write, such as `5s` or `30d`.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     #[serde(with = "millstream_udf::duration")]
//!     timeout: Duration,
//! }
//!
//! let config: Config = serde_json::from_str(r#"{"timeout": "90s"}"#).unwrap();
//! assert_eq!(config.timeout, Duration::from_secs(90));
//! ```

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

/// Units and what they are in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration written as a whole number and one of `ms`, `s`, `m`, `h`, `d`; 0 needs no unit.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*unit_ms).map(Duration::from_millis)
}

/// For `#[serde(with = "millstream_udf::duration")]`: reads text as [`parse`] does.
pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`, like `90s`")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(Text)
}

/// A field that is a duration.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Field(#[serde(deserialize_with = "deserialize")] pub Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        for (text, ms) in [("0", 0), ("0s", 0), ("1ms", 1), ("90s", 90_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "s",
            "1",
            "1.5s",
            "-1s",
            "1 s",
            "1w",
            "99999999999999999999s",
            "99999999999999999d",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = serde_json::from_str::<Field>(r#""1 minute""#).err().unwrap().to_string();
        assert!(error.contains("\"1 minute\"") && error.contains("like `90s`"), "{error}");
    }
}
