//! The codec against serde_json, with generated documents.

use millstream_core::columns::{Column, Values};
use millstream_core::description::{FieldSource, FieldType, InputField};
use millstream_sandbox::codec::{
    Columns, DecodeError, Decoder, HeaderSource, KeySource, NoHeaders, TimeSource, is_json,
};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

fn field(pointer: &str, kind: FieldType, optional: bool) -> InputField {
    InputField {
        name: pointer.into(),
        source: FieldSource::Pointer(pointer.into()),
        kind,
        optional,
    }
}

fn decoder(fields: &[InputField]) -> Decoder {
    Decoder::new(fields, KeySource::None, TimeSource::Broker).unwrap()
}

/// Text that is nearly JSON: tokens in any order, and bytes that matter.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\\", "\\u00e4", "\\ud800", "\\n", "1", "-", "0", "01",
            "1.5", "1e5", "1e999", "-0", ".5", "true", "false", "null", "tru", " ", "\n", "\t", "\u{e4}", "\u{0}", "\u{7f}",
            "{\"a\":1}", "[1,2]", "\"long enough for a word\"", "\"a\\\"b\"",
        ])
        .prop_map(|t| t.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|b| vec![b]),
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

/// Documents as serde_json writes them, sometimes with duplicate keys.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| serde_json::to_string(&n).unwrap()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        ".{0,12}".prop_map(|s| serde_json::to_string(&s).unwrap()),
        "(\\\\u[0-9a-d][0-9a-f]{3}|[a-z]|\\\\n|\\\\/){0,6}".prop_map(|s| format!("\"{s}\"")),
    ];
    let name = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "0",
        "1",
        "\\u0061",
        "a long name of a field",
        "a~b",
        "a/b",
        "",
    ]);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let space = prop::sample::select(vec!["", " ", "\n\t"]);
        prop_oneof![
            prop::collection::vec((name.clone(), inner.clone(), space.clone()), 0..5).prop_map(
                |members| {
                    let members =
                        members.iter().map(|(n, v, s)| format!("{s}\"{n}\"{s}:{s}{v}{s}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }
            ),
            prop::collection::vec((inner, space), 0..5).prop_map(|items| {
                let items = items.iter().map(|(v, s)| format!("{s}{v}{s}"));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

const POINTERS: [&str; 10] = [
    "",
    "/a",
    "/b",
    "/a/b",
    "/a/0",
    "/0/a",
    "/a/a/1",
    "/a long name of a field",
    "/a~0b/a",
    "/a~1b",
];

fn expected_text(value: &Value) -> Option<&[u8]> {
    value.as_str().map(str::as_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepts_what_serde_json_accepts(text in nearly_json()) {
        let theirs = std::str::from_utf8(&text).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok());
        prop_assert_eq!(is_json(&text), theirs);
    }

    #[test]
    fn finds_what_serde_json_finds(text in document(), at in prop::sample::select(&POINTERS[..])) {
        let Ok(value) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
        let found = value.pointer(at);
        let decode = |kind| {
            let mut decoder = decoder(&[field(at, kind, false)]);
            let mut columns = decoder.columns();
            decoder.decode(text.as_bytes(), "", &NoHeaders, 0, &mut columns).ok().map(|()| columns.columns.remove(0).values)
        };
        let blob = |values: Option<Values>| values.map(|values| match values {
            Values::Blobs(blob) => blob.get(0).to_vec(),
            other => panic!("{other:?}"),
        });
        let ours = blob(decode(FieldType::Text));
        prop_assert_eq!(ours.as_deref(), found.and_then(expected_text));
        let json = blob(decode(FieldType::Json)).map(|json| serde_json::from_slice::<Value>(&json).unwrap());
        prop_assert_eq!(json.as_ref(), found);
        let boolean = decode(FieldType::Boolean);
        prop_assert_eq!(boolean, found.and_then(Value::as_bool).map(|b| Values::Booleans(vec![u8::from(b)])));
        let float = decode(FieldType::F64);
        let expected = found.filter(|v| v.is_number()).and_then(Value::as_f64);
        match (float, expected) {
            (Some(Values::Floats(ours)), Some(theirs)) => prop_assert_eq!(ours[0].to_bits(), theirs.to_bits()),
            (None, None) => {}
            (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
        }
        if let Some(integer) = found.and_then(Value::as_i64) {
            prop_assert_eq!(decode(FieldType::S64), Some(Values::Integers(vec![integer])));
            prop_assert_eq!(decode(FieldType::Decimal(0)), Some(Values::Integers(vec![integer])));
        } else if !found.is_some_and(Value::is_number) {
            prop_assert_eq!(decode(FieldType::S64), None);
        }
    }

    #[test]
    fn what_came_before_does_not_matter(texts in prop::collection::vec(document(), 1..6)) {
        let fields: Vec<InputField> = POINTERS.iter().map(|at| field(at, FieldType::Json, true)).collect();
        let mut one = decoder(&fields);
        let mut all = one.columns();
        for text in &texts {
            let mut fresh = decoder(&fields);
            let mut alone = fresh.columns();
            all.clear();
            let by_habit = one.decode(text.as_bytes(), "", &NoHeaders, 0, &mut all);
            prop_assert_eq!(by_habit, fresh.decode(text.as_bytes(), "", &NoHeaders, 0, &mut alone));
            prop_assert_eq!(&all, &alone);
        }
    }

    #[test]
    fn a_failed_record_leaves_no_trace(good in document(), bad in document()) {
        let fields: Vec<InputField> = [
            ("/a", FieldType::Json, true), ("/b", FieldType::Text, true), ("/a/b", FieldType::F64, true),
            ("/c", FieldType::Boolean, true), ("", FieldType::Json, false), ("/b", FieldType::Text, false),
        ].into_iter().map(|(at, kind, optional)| field(at, kind, optional)).collect();
        let mut decoder = decoder(&fields);
        let mut columns = decoder.columns();
        let mut whole = 0;
        for text in [&good, &bad, &good, &bad] {
            let before = columns.clone();
            match decoder.decode(text.as_bytes(), "s", &NoHeaders, 7, &mut columns) {
                Ok(()) => whole += 1,
                Err(_) => prop_assert_eq!(&before, &columns),
            }
            let length = |column: &Column| column.values.len();
            prop_assert!(columns.columns.iter().all(|c| length(c) == whole));
            prop_assert!((columns.len(), columns.keys.len()) == (whole, whole));
        }
    }
}

struct OneHeader(&'static str, &'static [u8]);

impl HeaderSource for OneHeader {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == self.0).then_some(self.1)
    }
}

fn decode_one(decoder: &mut Decoder, payload: &str) -> Result<Columns, DecodeError> {
    let mut columns = decoder.columns();
    decoder.decode(
        payload.as_bytes(),
        "bank.cards.eu",
        &OneHeader("When", b"42"),
        7,
        &mut columns,
    )?;
    Ok(columns)
}

#[test]
fn keys_and_times() {
    let with = |key, time| Decoder::new(&[], key, time).unwrap();
    let key = |source, payload: &str| {
        decode_one(&mut with(source, TimeSource::Broker), payload)
            .map(|c| String::from_utf8(c.keys.get(0).to_vec()).unwrap())
    };
    let pointer = || KeySource::Pointer("/k".into());
    assert_eq!(key(KeySource::None, "not json").unwrap(), "");
    assert_eq!(key(KeySource::SubjectToken(1), "").unwrap(), "cards");
    assert_eq!(key(KeySource::Header("When".into()), "").unwrap(), "42");
    assert_eq!(key(pointer(), r#"{"k":"a\nb"}"#).unwrap(), "a\nb");
    assert_eq!(key(pointer(), r#"{"k":1.50}"#).unwrap(), "1.50");
    assert_eq!(key(pointer(), r#"{"k":true}"#).unwrap(), "true");
    let error = |source, payload| key(source, payload).unwrap_err().to_string();
    assert_eq!(error(pointer(), r#"{"k":null}"#), "/k: a key expected, found null");
    assert_eq!(error(pointer(), "{}"), "/k: a key expected, found nothing");
    assert_eq!(error(pointer(), "{"), "the payload is not JSON: a key expected at byte 1");
    assert_eq!(
        error(KeySource::SubjectToken(3), ""),
        "subject: a token 3 expected, found fewer tokens"
    );
    assert_eq!(
        error(KeySource::Header("No".into()), ""),
        "header No: a key expected, found nothing"
    );

    let time = |source, payload: &str| {
        decode_one(&mut with(KeySource::None, source), payload)
            .map(|c| c.event_times[0])
            .map_err(|e| e.to_string())
    };
    assert_eq!(time(TimeSource::Broker, "not json"), Ok(7));
    assert_eq!(time(TimeSource::Header("When".into()), ""), Ok(42));
    assert_eq!(time(TimeSource::Pointer("/t".into()), r#"{"t":-5}"#), Ok(-5));
    let wrong = time(TimeSource::Pointer("/t".into()), r#"{"t":"secret"}"#).unwrap_err();
    assert_eq!(wrong, "/t: an event time in milliseconds expected, found a string");
}

#[test]
fn fields_from_elsewhere_and_missing_ones() {
    let other = |source, kind, optional| InputField { name: "f".into(), source, kind, optional };
    let fields = [
        other(FieldSource::Payload, FieldType::Bytes, false),
        other(FieldSource::Subject, FieldType::Text, false),
        other(FieldSource::Header("When".into()), FieldType::Text, false),
        other(FieldSource::Header("No".into()), FieldType::Bytes, true),
    ];
    let columns = decode_one(&mut decoder(&fields), "raw").unwrap();
    let items: Vec<_> = columns
        .columns
        .iter()
        .map(|c| match &c.values {
            Values::Blobs(blob) => (blob.get(0).to_vec(), c.present.has(0)),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: [(&[u8], bool); 4] =
        [(b"raw", true), (b"bank.cards.eu", true), (b"42", true), (b"", false)];
    assert!(
        items
            .iter()
            .zip(expected)
            .all(|((item, present), (bytes, there))| item == bytes && *present == there)
    );

    let error = |field: InputField, payload: &str| {
        decode_one(&mut decoder(&[field]), payload).unwrap_err().to_string()
    };
    assert_eq!(
        error(field("/x", FieldType::S64, false), "{}"),
        "/x: a 64-bit integer expected, found nothing"
    );
    assert_eq!(
        error(field("/x", FieldType::S64, true), r#"{"x":1.0}"#),
        "/x: a 64-bit integer expected, found a number with fraction or exponent"
    );
    assert_eq!(
        error(field("/x", FieldType::Decimal(2), false), r#"{"x":"1.234"}"#),
        "/x: a 64-bit decimal with at most 2 digits behind the point expected, found a number with more digits"
    );
    assert_eq!(
        error(field("/x", FieldType::Decimal(2), false), r#"{"x":"abc"}"#),
        "/x: a 64-bit decimal with at most 2 digits behind the point expected, found a string that holds no number"
    );
    assert_eq!(
        error(field("/x", FieldType::F64, false), r#"{"x":1e999}"#),
        "/x: a number expected, found a number out of range"
    );
    assert_eq!(
        error(field("/x", FieldType::Text, false), r#"{"x":"\ud800"}"#),
        "/x: a string expected, found a string with half a surrogate pair"
    );
    let json = InputField {
        name: "all".into(),
        source: FieldSource::Payload,
        kind: FieldType::Json,
        optional: false,
    };
    assert_eq!(error(json, "{"), "the payload: a JSON value expected, found something else");
}

#[test]
fn the_key_is_known_before_the_record_is_appended() {
    let fields = [field("/v", FieldType::S64, false)];
    let mut decoder =
        Decoder::new(&fields, KeySource::Pointer("/k".into()), TimeSource::Pointer("/t".into()))
            .unwrap();
    let mut columns = decoder.columns();
    let scanned = decoder.scan(br#"{"k":"x","t":3,"v":9}"#, "", &NoHeaders, 0).unwrap();
    assert_eq!((scanned.key(), scanned.event_time()), (&b"x"[..], 3));
    scanned.append(&mut columns).unwrap();
    assert_eq!((columns.len(), columns.byte_len()), (1, 8 + 5 + 8));
    columns.clear();
    assert!(columns.is_empty());
}
