//! Every type of field and every place it may come from.

use millstream_udf::Udf;
use millstream_udf::contract::{FieldSource, FieldType};
use millstream_udf::prelude::*;
use millstream_udf::testing::{Harness, Record, Refusal};
use serde_json::json;

#[derive(Deserialize, Serialize)]
struct Address {
    city: String,
}

#[derive(Input)]
struct Everything<'a> {
    text: &'a str,
    owned: String,
    wide: i64,
    narrow: u8,
    double: f64,
    flag: bool,
    money: Decimal<2>,
    r#type: &'a str,
    address: Json<Address>,
    anything: RawJson<'a>,
    #[field(pointer = "/deep/0/a~1b")]
    deep: Option<i64>,
    #[field(rename = "other/key")]
    renamed: Option<&'a str>,
    #[field(subject)]
    subject: &'a str,
    #[field(header = "Trace-Id")]
    trace: Option<&'a str>,
    #[field(payload)]
    payload: &'a [u8],
}

#[derive(Output)]
#[output(tag = "type", value = "echo")]
struct Echo<'a> {
    text: &'a str,
    owned: String,
    wide: i64,
    narrow: u8,
    double: f64,
    flag: bool,
    money: Decimal<2>,
    #[field(rename = "in-type")]
    in_type: &'a str,
    address: Json<Address>,
    anything: RawJson<'a>,
    deep: Option<i64>,
    renamed: Option<&'a str>,
    subject: &'a str,
    trace: Option<&'a str>,
    payload_bytes: i64,
}

#[udf]
fn echo_all(all: Everything<'_>) -> Echo<'_> {
    Echo {
        text: all.text,
        owned: all.owned,
        wide: all.wide,
        narrow: all.narrow,
        double: all.double,
        flag: all.flag,
        money: all.money,
        in_type: all.r#type,
        address: all.address,
        anything: all.anything,
        deep: all.deep,
        renamed: all.renamed,
        subject: all.subject,
        trace: all.trace,
        payload_bytes: all.payload.len() as i64,
    }
}

fn full() -> serde_json::Value {
    json!({
        "text": "a\"b\u{e9}", "owned": "o", "wide": i64::MIN, "narrow": 255, "double": 1e-5, "flag": true, "money": "12.3",
        "type": "t", "address": {"city": "Ulm", "zip": 1}, "anything": [1, null], "deep": [{"a/b": 7}], "other/key": "r"
    })
}

#[test]
fn all_present() {
    let mut harness = Harness::<EchoAll>::new();
    let record = Record::json(full()).subject("orders.eu").header("Trace-Id", "x1");
    let length = record_length();
    harness.send(record).unwrap();
    let expected = format!(
        concat!(
            r#"{{"address":{{"city":"Ulm"}},"anything":[1,null],"deep":7,"double":1e-05,"flag":true,"in-type":"t","money":12.30,"#,
            r#""narrow":255,"owned":"o","payload_bytes":{},"renamed":"r","subject":"orders.eu","text":"a\"bé","trace":"x1","#,
            r#""type":"echo","wide":-9223372036854775808}}"#
        ),
        length
    );
    assert_eq!(harness.take_lines("output"), [expected]);
}

fn record_length() -> usize {
    full().to_string().len()
}

#[test]
fn optional_ones_may_be_missing_or_null() {
    let mut harness = Harness::<EchoAll>::new().batches_of(8);
    let mut without = full();
    without["deep"] = json!(null);
    without.as_object_mut().unwrap().remove("other/key");
    assert_eq!(harness.send_all([full(), without, full()]), []);
    let items = harness.take("output");
    assert_eq!((&items[0]["deep"], &items[2]["renamed"]), (&json!(7), &json!("r")));
    assert!(
        items[1].get("deep").is_none()
            && items[1].get("renamed").is_none()
            && items[1].get("trace").is_none()
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    for (field, value) in [
        ("text", json!(1)),
        ("wide", json!(1.0)),
        ("wide", json!(1e300)),
        ("double", json!("1")),
        ("flag", json!(0)),
        ("money", json!(0.001)),
        ("text", json!(null)),
    ] {
        let mut record = full();
        record[field] = value;
        let refused = Harness::<EchoAll>::new().send(record).unwrap_err();
        assert!(matches!(&refused, Refusal::Unfit(why) if why.contains(field)), "{refused}");
    }
    for (field, value, why) in [
        ("narrow", json!(256), "narrow: 256 is outside 0 to 255"),
        ("address", json!({}), "address: missing field `city` at line 1 column 2"),
    ] {
        let mut record = full();
        record[field] = value;
        assert_eq!(Harness::<EchoAll>::new().send(record), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_declaration_says_all() {
    let description = EchoAll::description();
    let fields: Vec<_> =
        description.inputs[0].fields.iter().map(|f| (&f.name[..], f.kind, f.optional)).collect();
    assert_eq!(fields[3], ("narrow", FieldType::S64, false));
    assert_eq!(fields[6], ("money", FieldType::Decimal(2), false));
    assert_eq!(fields[7], ("type", FieldType::Text, false));
    assert_eq!(fields[10], ("deep", FieldType::S64, true));
    let sources: Vec<_> = description.inputs[0].fields.iter().map(|f| f.source.clone()).collect();
    assert_eq!(sources[10], FieldSource::Pointer("/deep/0/a~1b".into()));
    assert_eq!(sources[11], FieldSource::Pointer("/other~1key".into()));
    assert_eq!(
        sources[12..],
        [FieldSource::Subject, FieldSource::Header("Trace-Id".into()), FieldSource::Payload]
    );
}
