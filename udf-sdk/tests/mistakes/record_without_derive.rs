//! The record's type lacks `#[derive(Input)]`.
use millstream_udf::prelude::*;

struct Payment {
    cents: i64,
}

#[derive(Output)]
struct Doubled {
    cents: i64,
}

#[udf(version = "1.0.0")]
fn double(payment: Payment) -> Doubled {
    Doubled { cents: 2 * payment.cents }
}

fn main() {}
