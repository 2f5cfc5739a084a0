//! State kept in the UDF itself.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[derive(Default)]
struct Balance {
    balance: i64,
}

#[udf(version = "1.0.0")]
impl Balance {
    fn process(&mut self, payment: Payment) {
        self.balance += payment.cents;
    }
}

fn main() {}
