//! Names and a version that the contract does not allow.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[udf(name = "Card Fraud")]
fn first(payment: Payment) {}

#[udf(version = "1.0")]
fn second(payment: Payment) {}

#[derive(States)]
struct Account {
    #[state(rename = "last seen")]
    last: Value<i64>,
}

fn main() {}
