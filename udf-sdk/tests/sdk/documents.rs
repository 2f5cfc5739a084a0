//! Quick starts: whole documents as serde types, and raw bytes.

use millstream_udf::Udf;
use millstream_udf::prelude::*;
use millstream_udf::testing::{Harness, Record, Refusal};
use serde_json::json;

#[derive(Deserialize)]
struct Reading<'a> {
    sensor: &'a str,
    values: Vec<f64>,
}

#[derive(Serialize)]
struct Mean {
    sensor: String,
    mean: Option<f64>,
}

#[udf]
fn mean_udf(reading: Json<Reading<'_>>) -> Json<Mean> {
    let count = reading.values.len();
    let mean = (count > 0).then(|| reading.values.iter().sum::<f64>() / count as f64);
    Json(Mean { sensor: reading.sensor.to_owned(), mean })
}

#[udf]
fn reverse(payload: Payload<'_>, out: &mut Emit<Payload<'_>>) {
    let reversed: Vec<u8> = payload.0.iter().rev().copied().collect();
    out.emit(Payload(&reversed));
}

#[test]
fn a_document_in_and_out() {
    let mut harness = Harness::<MeanUdf>::new();
    harness.send(json!({"sensor": "s1", "values": [1.0, 2.0]})).unwrap();
    harness.send(json!({"sensor": "s2", "values": []})).unwrap();
    assert_eq!(
        harness.take("output"),
        [json!({"sensor": "s1", "mean": 1.5}), json!({"sensor": "s2", "mean": null})]
    );
    assert!(matches!(harness.send(Record::raw("{")), Err(Refusal::Unfit(_))));
    assert!(matches!(harness.send(json!({"sensor": 1})), Err(Refusal::Failed(_))));
    assert!(MeanUdf::description().outputs[0].is_raw());
}

#[test]
fn bytes_in_and_out() {
    let mut harness = Harness::<Reverse>::new();
    harness.send(Record::raw([1, 2, 0xff])).unwrap();
    harness.send(Record::raw([])).unwrap();
    assert_eq!(harness.take_raw("output"), [vec![0xff, 2, 1], vec![]]);
}
