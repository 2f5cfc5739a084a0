//! The emitted type lacks `#[derive(Output)]`.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    cents: i64,
}

struct Doubled {
    cents: i64,
}

#[udf(version = "1.0.0")]
fn double(payment: Payment) -> Doubled {
    Doubled { cents: 2 * payment.cents }
}

fn main() {}
