//! Settings that several modules have.

use millstream_udf::prelude::*;

/// Units of a duration, in milliseconds.
const UNITS: [(&str, i64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Longest duration: 100 years, so that sums with a time cannot overflow.
const DURATION_MS_MAX: i64 = 36_525 * 86_400_000;

/// The milliseconds of a duration as in manifests, such as `90s` or `30d`, within `min` ms and 100 years.
pub fn duration_ms(setting: &str, text: &str, min_ms: i64) -> Result<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
    let ms = match (number.parse::<i64>(), unit_ms) {
        (Ok(0), None) if unit.is_empty() => 0,
        (Ok(number), Some(unit_ms)) => number.saturating_mul(unit_ms),
        _ => bail!(
            "`{setting}` is `{text}`; a duration is a whole number and one of ms, s, m, h, d, like `90s`"
        ),
    };
    ensure!(
        (min_ms..=DURATION_MS_MAX).contains(&ms),
        "`{setting}` is `{text}`; it must be {min_ms} ms to 36525 days"
    );
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in
            [("0", 0), ("250ms", 250), ("90s", 90_000), ("1m", 60_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(duration_ms("within", text, 0).map_err(|e| e.to_string()), Ok(ms));
        }
        for text in ["", "s", "1", "-1s", "1.5h", "1 h", "1w", "99999999999999999999s", "40000d"] {
            let refused = duration_ms("within", text, 0).expect_err(text).to_string();
            assert!(refused.starts_with(&format!("`within` is `{text}`")), "{refused}");
        }
        assert!(duration_ms("within", "0s", 1).is_err());
    }
}
