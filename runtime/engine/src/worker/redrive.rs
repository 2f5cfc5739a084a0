//! Redriven dead letters: one more source per input of a stage. Its records are read as they were at first: with the input's
//! key and event time, the subject and the time of their first arrival, and their own headers.

use millstream_log::source::Delivery;
use millstream_sandbox::codec::TimeSource;

use crate::spec::{OnGap, SourceSpec, Start, WatermarkSpec};

/// Stream of redriven dead letters of all pipelines.
pub const STREAM: &str = "MILLSTREAM_REDRIVE";
/// First part of their subjects.
pub const SUBJECT: &str = "millstream.redrive";

/// What the name of an input becomes for its redriven records. No other source is called so: names hold no colon.
const NAME_PREFIX: &str = "redrive:";

/// Which attempt this is, from 1.
const ATTEMPTS_HEADER: &str = "Millstream-Attempts";
/// The subject that the record had at first.
const SUBJECT_HEADER: &str = "Millstream-Subject";
/// When it arrived at first, milliseconds since 1970 UTC.
const TIME_HEADER: &str = "Millstream-Time";

/// Name of the source of an input's redriven records.
pub fn name_of(input: &str) -> String {
    format!("{NAME_PREFIX}{input}")
}

/// Whether a source is one of redriven records.
pub fn is_redriven(source: &str) -> bool {
    source.starts_with(NAME_PREFIX)
}

/// The source of the redriven records of an input of a stage, whose event time is where the input has it.
pub fn source_of(pipeline: &str, stage: &str, input: &str, event_time: TimeSource) -> SourceSpec {
    SourceSpec {
        name: name_of(input),
        stream: STREAM.to_owned(),
        subject: Some(format!("{SUBJECT}.{pipeline}.{stage}.{input}")),
        start: Start::Beginning,
        event_time,
        watermark: WatermarkSpec::default(),
        on_gap: OnGap::Skip,
        consumed: false,
    }
}

/// What a redriven record was before it became a dead letter.
#[derive(Debug, PartialEq, Eq)]
pub struct Before<'a> {
    /// How often it was tried.
    pub attempts: u32,
    /// Its subject.
    pub subject: &'a str,
    /// When it arrived, milliseconds since 1970 UTC.
    pub arrived_ms: i64,
}

/// What a redriven record's headers say; where they say nothing, what the delivery says.
pub fn before(delivery: &Delivery) -> Before<'_> {
    let header = |name: &str| {
        let value = delivery.headers.as_ref()?.get(name)?;
        Some(value.as_str())
    };
    let attempt: u32 = header(ATTEMPTS_HEADER).and_then(|text| text.parse().ok()).unwrap_or(1);
    Before {
        attempts: attempt.saturating_sub(1),
        subject: header(SUBJECT_HEADER).unwrap_or(&delivery.subject),
        arrived_ms: header(TIME_HEADER)
            .and_then(|text| text.parse().ok())
            .unwrap_or(delivery.time_ns / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_core::ids::Sequence;
    use millstream_log::HeaderMap;

    use super::*;

    fn delivery(headers: Option<HeaderMap>) -> Delivery {
        Delivery {
            sequence: Sequence(3),
            consumer_sequence: 1,
            time_ns: 5_000_000,
            subject: "millstream.redrive.p.s.cards".into(),
            headers,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn headers_say_what_a_record_was_at_first() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [(ATTEMPTS_HEADER, "3"), (SUBJECT_HEADER, "cards.eu"), (TIME_HEADER, "4")]
        {
            headers.insert(name, value);
        }
        let expected = Before { attempts: 2, subject: "cards.eu", arrived_ms: 4 };
        assert_eq!(before(&delivery(Some(headers))), expected);
    }

    #[test]
    fn without_headers_the_delivery_counts() {
        let expected =
            Before { attempts: 0, subject: "millstream.redrive.p.s.cards", arrived_ms: 5 };
        assert_eq!(before(&delivery(None)), expected);
        let mut garbage = HeaderMap::new();
        garbage.insert(ATTEMPTS_HEADER, "often");
        garbage.insert(TIME_HEADER, "late");
        assert_eq!(before(&delivery(Some(garbage))), expected);
    }
}
