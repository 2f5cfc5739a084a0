//! Attributes that do not exist.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    #[field(path = "/cents")]
    cents: i64,
}

#[derive(States)]
struct Account {
    #[state(expires = "30d")]
    balance: Value<i64>,
}

#[derive(States)]
struct Session {
    #[state(ttl = "2 weeks")]
    page: Value<String>,
}

#[udf(version = "1.0.0", outptus = Emit<Doubled>)]
fn double(payment: Payment) {}

fn main() {}
