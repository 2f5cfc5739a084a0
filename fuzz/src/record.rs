//! Records of sources, and what they travel in.

use bytes::Bytes;
use millstream_core::description::{FieldSource, FieldType, InputField};
use millstream_engine::dead_letter::DeadLetter;
use millstream_engine::ingest;
use millstream_sandbox::codec::{Columns, Decoder, KeySource, NoHeaders, TimeSource, is_json};
use serde_json::value::RawValue;

/// What is JSON agrees with serde_json. A record that is decoded adds one item to every column, one that is not adds none.
pub fn payload(data: &[u8]) {
    let theirs = str::from_utf8(data).is_ok_and(|t| serde_json::from_str::<&RawValue>(t).is_ok())
        && depth(data) <= DEPTH_MAX;
    assert_eq!(is_json(data), theirs, "{}", data.escape_ascii());
    let kinds = [
        FieldType::Boolean,
        FieldType::S64,
        FieldType::F64,
        FieldType::Decimal(2),
        FieldType::Text,
        FieldType::Json,
    ];
    let pointers = ["/a", "/b/0", "/c/d", "/a/e", "/amount", ""];
    let fields: Vec<InputField> = kinds
        .into_iter()
        .zip(pointers)
        .map(|(kind, pointer)| InputField {
            name: format!("field-{}", pointer.len()),
            source: FieldSource::Pointer(pointer.into()),
            kind,
            optional: true,
        })
        .collect();
    for key in [KeySource::None, KeySource::Pointer("/id".into())] {
        let time = TimeSource::Pointer("/at".into());
        for time in [TimeSource::Broker, time] {
            let mut decoder =
                Decoder::new(&fields, key.clone(), time).expect("pointers are well formed");
            let mut columns = decoder.columns();
            let before = columns.clone();
            match decoder.decode(data, "a.b", &NoHeaders, 7, &mut columns) {
                Ok(()) => assert!(theirs && one_each(&columns), "{}", data.escape_ascii()),
                Err(_) => assert!(columns == before, "{}", data.escape_ascii()),
            }
        }
    }
}

/// Containers inside one another; serde_json knows no limit where it only skips them.
const DEPTH_MAX: usize = 127;

/// The most containers inside one another in a text that is JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut bytes) = (0_usize, 0, false, json.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_text => drop(bytes.next()),
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn one_each(columns: &Columns) -> bool {
    columns.columns.iter().all(|column| column.values.len() == 1)
}

/// An envelope or a dead letter that is accepted says the same when it is written anew.
pub fn envelope(data: &[u8]) {
    if let Some(opened) = ingest::open(Bytes::copy_from_slice(data)) {
        let write = |of: &ingest::Envelope| {
            let mut out = Vec::new();
            let headers = of.headers.as_ref();
            ingest::seal(of.time_ns, of.attempts, &of.subject, headers, &of.payload, &mut out);
            out
        };
        let once = write(&opened);
        let again = ingest::open(once.clone().into()).expect("our own envelope");
        assert_eq!(write(&again), once);
    }
    if let Some((letter, payload)) = DeadLetter::read(data) {
        let mut out = Vec::new();
        letter.write(payload, &mut out);
        let (_, again) = DeadLetter::read(&out).expect("our own letter");
        assert_eq!(again, payload);
    }
}
