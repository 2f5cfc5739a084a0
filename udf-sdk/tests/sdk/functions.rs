//! UDFs that are functions: maps, filters and the like, without state.

use millstream_udf::Udf;
use millstream_udf::prelude::*;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::json;

#[derive(Input)]
struct Order<'a> {
    id: &'a str,
    cents: i64,
}

#[derive(Output)]
struct Priced<'a> {
    id: &'a str,
    price: Decimal<2>,
}

#[udf(version = "2.1.0")]
fn price_order(order: Order<'_>) -> Priced<'_> {
    Priced { id: order.id, price: Decimal::from_units(order.cents) }
}

#[udf(name = "large-only", version = "1.0.0")]
fn large(order: Order<'_>) -> Result<Option<Priced<'_>>> {
    ensure!(order.cents >= 0, "an order of {} cents", order.cents);
    Ok((order.cents > 100)
        .then(|| Priced { id: order.id, price: Decimal::from_units(order.cents) }))
}

#[udf]
fn twice(order: Order<'_>) -> Vec<Priced<'_>> {
    [1, 2].map(|n| Priced { id: order.id, price: Decimal::from_units(n * order.cents) }).into()
}

#[udf]
fn checked(order: Order<'_>, metrics: &Metrics) -> Result<()> {
    metrics.count("orders", 1);
    metrics.record("cents", order.cents as f64);
    log::info!("{} cents", order.cents);
    bail!("order {} is refused", order.id)
}

#[test]
fn a_map_returns_the_item() {
    let mut harness = Harness::<PriceOrder>::new();
    assert_eq!(
        (&harness.description().name[..], &harness.description().version[..]),
        ("price-order", "2.1.0")
    );
    harness.send(json!({"id": "o1", "cents": 5})).unwrap();
    assert_eq!(harness.take_lines("output"), [r#"{"id":"o1","price":0.05}"#]);
}

#[test]
fn a_filter_returns_an_option_and_may_refuse() {
    let mut harness = Harness::<Large>::new();
    assert_eq!(harness.description().name, "large-only");
    harness.send(json!({"id": "o1", "cents": 100})).unwrap();
    harness.send(json!({"id": "o2", "cents": 101})).unwrap();
    assert_eq!(
        harness.send(json!({"id": "o3", "cents": -1})),
        Err(Refusal::Failed("an order of -1 cents".into()))
    );
    assert_eq!(harness.take_lines("output"), [r#"{"id":"o2","price":1.01}"#]);
}

#[test]
fn a_flat_map_returns_a_vec() {
    let mut harness = Harness::<Twice>::new();
    harness.send(json!({"id": "o1", "cents": 150})).unwrap();
    assert_eq!(
        harness.take_lines("output"),
        [r#"{"id":"o1","price":1.50}"#, r#"{"id":"o1","price":3.00}"#]
    );
    assert_eq!(harness.description().version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn metrics_and_logs_are_kept_also_of_refused_records() {
    let mut harness = Harness::<Checked>::new();
    assert!(Checked::description().outputs.is_empty());
    harness.send(json!({"id": "o1", "cents": 7})).unwrap_err();
    assert_eq!(harness.counter("orders"), 1);
    assert_eq!(harness.histogram("cents"), [7.0]);
    assert_eq!(harness.logs(), [(log::Level::Info, "7 cents".into())]);
}
