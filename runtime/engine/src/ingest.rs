//! Streams that only one consumer may read (retention `workqueue` and `interest`): a stage of one partition takes their records
//! into the log, and the stages of the manifest read that stage instead of the stream.
//!
//! The stage's operator is the host's own: it emits every record as it came, in an [`Envelope`]. Its reader acknowledges what
//! is committed (`worker/source.rs`), and what a stage behind it sees is what it would have seen of the stream: subject,
//! headers, event times and the watermark between them. Nothing else in the engine knows of it.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use millstream_core::columns::{Batch, Effects, Emitted, TimerBatch};
use millstream_core::description::{
    Description, FieldSource, FieldType, Input, InputField, Output, OutputField,
};
use millstream_core::udf::{CallState, Fault, Udf};
use millstream_log::HeaderMap;
use millstream_sandbox::codec::KeySource;

use crate::spec::{InputFrom, OnError, PipelineSpec, StageInput, StageModule, StageSpec};

/// What follows the source's name in that of the stage. No stage of a manifest has such a name.
const SUFFIX: &str = "_ingest";
/// The version of envelopes, their first byte.
const VERSION: u8 = 1;
/// The digest that commits of the stage name: the operator has no module.
pub const DIGEST: [u8; 32] = *b"millstream ingest operator v1\0\0\0";

/// The stage that takes the records of this source into the log.
pub fn stage_of(source: &str) -> String {
    format!("{source}{SUFFIX}")
}

/// Names of the consumers of a source begin so.
pub fn consumers_of(
    pipeline: &str,
    incarnation: millstream_core::ids::Incarnation,
    source: &str,
) -> String {
    format!("millstream-{pipeline}-{:032x}-{source}-", incarnation.0)
}

/// Has these sources read through a stage of their own each, which come behind all others.
pub fn insert<'a>(sources: impl IntoIterator<Item = &'a str>, pipeline: &mut PipelineSpec) {
    for name in sources {
        let Some(source) = pipeline.sources.iter().position(|s| s.name == name) else { continue };
        let from = InputFrom::Stage { stage: pipeline.stages.len(), output: 0 };
        let readers = pipeline.stages.iter_mut().flat_map(|stage| &mut stage.inputs);
        readers
            .filter(|input| input.from == InputFrom::Source(source))
            .for_each(|input| input.from = from);
        pipeline.sources[source].consumed = true;
        pipeline.stages.push(StageSpec {
            name: stage_of(name),
            partitions: 1,
            module: StageModule::Ingest(Arc::new(description())),
            config: "{}".to_owned(),
            inputs: vec![StageInput {
                from: InputFrom::Source(source),
                input: 0,
                key: KeySource::None,
            }],
            outputs: vec![Vec::new()],
            on_error: OnError::DeadLetter,
            chained: Vec::new(),
        });
    }
}

fn description() -> Description {
    let name = "record".to_owned();
    let field = InputField {
        name: name.clone(),
        source: FieldSource::Payload,
        kind: FieldType::Bytes,
        optional: false,
    };
    let output = OutputField { name: name.clone(), kind: FieldType::Bytes, optional: false };
    Description {
        name: "ingest".to_owned(),
        version: "1.0.0".to_owned(),
        inputs: vec![Input { name: name.clone(), fields: vec![field], broadcast: false }],
        outputs: vec![Output { name, fields: vec![output] }],
        ..Description::default()
    }
}

/// The operator: emits what it is given.
pub struct PassOn;

impl Udf for PassOn {
    fn process(&mut self, batch: &Batch, _: &mut dyn CallState) -> Result<Effects, Fault> {
        let causes = (0..batch.key_of.len() as u32).collect();
        let emitted = vec![Emitted { causes, columns: batch.columns.clone() }];
        Ok(Effects { emitted, ..Effects::default() })
    }

    fn on_timer(&mut self, _: &TimerBatch, _: &mut dyn CallState) -> Result<Effects, Fault> {
        Err(Fault::Host { message: "the ingest operator sets no timers".to_owned() })
    }
}

/// A record with all that came with it. Encoded, integers little-endian: version (1 byte), the broker's time (8), attempts
/// (4), subject, number of headers (4), their names and values, each behind its length (4); the rest is the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The broker's time, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// How often it was tried before.
    pub attempts: u32,
    /// Its subject.
    pub subject: Bytes,
    /// Its headers.
    pub headers: Option<HeaderMap>,
    /// Its payload.
    pub payload: Bytes,
}

/// Appends a record as an envelope.
pub fn seal(
    time_ns: i64,
    attempts: u32,
    subject: &[u8],
    headers: Option<&HeaderMap>,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    out.put_u8(VERSION);
    out.put_i64_le(time_ns);
    out.put_u32_le(attempts);
    put(out, subject);
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        lines.extend(values.iter().map(|value| (name.as_ref(), value.as_str())));
    }
    // A map has no order; what is committed must not depend on it. Values of one name keep theirs.
    lines.sort_by_key(|(name, _)| *name);
    out.put_u32_le(lines.len() as u32);
    for (name, value) in lines {
        put(out, name.as_bytes());
        put(out, value.as_bytes());
    }
    out.put_slice(payload);
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.put_u32_le(text.len() as u32);
    out.put_slice(text);
}

/// Reads an envelope; none if it is something else.
pub fn open(mut bytes: Bytes) -> Option<Envelope> {
    if bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    let (time_ns, attempts) = (bytes.try_get_i64_le().ok()?, bytes.try_get_u32_le().ok()?);
    let subject = take(&mut bytes)?;
    let count = bytes.try_get_u32_le().ok()?;
    let mut headers = HeaderMap::new();
    for _ in 0..count {
        let (name, value) = (take(&mut bytes)?, take(&mut bytes)?);
        let (name, value) = (str::from_utf8(&name).ok()?, str::from_utf8(&value).ok()?);
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if name.is_empty() || !is_name || value.contains(['\r', '\n']) {
            return None;
        }
        headers.append(name, value);
    }
    let headers = (count > 0).then_some(headers);
    Some(Envelope { time_ns, attempts, subject, headers, payload: bytes })
}

fn take(bytes: &mut Bytes) -> Option<Bytes> {
    let length = bytes.try_get_u32_le().ok()? as usize;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(envelope: &Envelope) -> Bytes {
        let mut out = Vec::new();
        let Envelope { time_ns, attempts, subject, headers, payload } = envelope;
        seal(*time_ns, *attempts, subject, headers.as_ref(), payload, &mut out);
        out.into()
    }

    #[test]
    fn a_record_comes_out_as_it_went_in() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("Trace", "t1"), ("Account", "7"), ("Trace", "t0")] {
            headers.append(name, value);
        }
        for headers in [None, Some(headers)] {
            let envelope = Envelope {
                time_ns: -5,
                attempts: 2,
                subject: "jobs.eu".into(),
                headers,
                payload: Bytes::from_static(b"{}"),
            };
            assert_eq!(open(sealed(&envelope)), Some(envelope));
        }
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let envelope = Envelope {
            time_ns: 1,
            attempts: 0,
            subject: "s".into(),
            headers: None,
            payload: Bytes::new(),
        };
        let whole = sealed(&envelope);
        for length in 0..whole.len() {
            assert_eq!(open(whole.slice(..length)), None, "{length} bytes");
        }
        assert_eq!(open(Bytes::from_static(b"{\"id\":1, and more of it}")), None);
    }
}
