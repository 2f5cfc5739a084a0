//! The records of an example again and again: each time later in event time, and of other keys.
//!
//! So what is given for one repetition is what was given for the first, as long as the UDF knows nothing of calendars.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// The field with the event time, in milliseconds since 1970.
const EVENT_TIME: &str = "ts";
/// Repetitions keep their days of the week.
const WEEK_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// Event time between repetitions: whole weeks, at least one more than the records of all sources span.
pub fn period_ms(sources: &[Vec<String>]) -> i64 {
    let times = || sources.iter().flatten().filter_map(|line| event_time(line));
    let span = times().max().unwrap_or_default() - times().min().unwrap_or_default();
    (span / WEEK_MS + 2) * WEEK_MS
}

/// Writes the lines `times` times. Of all repetitions but the first, event times are later by whole periods, and strings in
/// the fields `renewed` end with the number of the repetition.
pub fn write_file(
    lines: &[String],
    times: u64,
    period_ms: i64,
    renewed: &[&str],
    path: &Path,
) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let mut file = BufWriter::with_capacity(WRITE_BYTES, File::create(path).with_context(failed)?);
    for time in 0..times {
        for line in lines {
            let again = match time {
                0 => line.clone(),
                _ => repeated(line, time, period_ms, renewed),
            };
            writeln!(file, "{again}").with_context(failed)?;
        }
    }
    file.flush().with_context(failed)
}

fn repeated(line: &str, time: u64, period_ms: i64, renewed: &[&str]) -> String {
    let mut line = line.to_owned();
    if let (Some(ts), Some(at)) = (event_time(&line), value_of(&line, EVENT_TIME)) {
        let digits = ts.to_string().len();
        let later = ts.saturating_add(period_ms.saturating_mul(time as i64));
        line.replace_range(at..at + digits, &later.to_string());
    }
    for field in renewed {
        let Some(at) = value_of(&line, field) else { continue };
        // Keys are plain strings, without escapes.
        let text = line[at..].strip_prefix('"').and_then(|text| text.find('"'));
        if let Some(end) = text.map(|length| at + 1 + length) {
            line.insert_str(end, &format!("~{time}"));
        }
    }
    line
}

/// The event time of a line that has one.
fn event_time(line: &str) -> Option<i64> {
    let text = &line[value_of(line, EVENT_TIME)?..];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Where the value of a field begins.
fn value_of(line: &str, field: &str) -> Option<usize> {
    let name = format!("\"{field}\":");
    let at = line.find(&name)? + name.len();
    Some(at + line[at..].len() - line[at..].trim_start().len())
}

#[cfg(test)]
mod tests {
    use super::{WEEK_MS, period_ms, repeated};

    #[test]
    fn a_repetition_is_later_and_of_another_key() {
        let line = r#"{"account":"a1","amount":1.50,"ts": 1000}"#;
        assert_eq!(
            repeated(line, 3, 500, &["account", "other"]),
            r#"{"account":"a1~3","amount":1.50,"ts": 2500}"#
        );
        assert_eq!(repeated("no json", 3, 500, &["account"]), "no json");
    }

    #[test]
    fn repetitions_do_not_overlap() {
        assert_eq!(period_ms(&[vec!["no json".to_owned()]]), 2 * WEEK_MS);
        let late = format!(r#"{{"ts":{}}}"#, 3 * WEEK_MS);
        assert_eq!(period_ms(&[vec![r#"{"ts":5}"#.to_owned()], vec![late]]), 4 * WEEK_MS);
    }
}
