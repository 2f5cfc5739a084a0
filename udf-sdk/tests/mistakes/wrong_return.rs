//! A handler with outputs that returns its item.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[derive(Output)]
struct Doubled {
    cents: i64,
}

#[udf(version = "1.0.0")]
fn double(payment: Payment, out: &mut Emit<Doubled>) -> Doubled {
    out.emit(Doubled { cents: payment.cents });
    Doubled { cents: 2 * payment.cents }
}

fn main() {}
