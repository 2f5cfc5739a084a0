//! An argument that is neither declared nor known.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[derive(States)]
struct Account {
    balance: Value<i64>,
}

#[derive(Default)]
struct Balance;

#[udf(version = "1.0.0")]
impl Balance {
    fn process(&self, payment: Payment, account: &mut Account) {
        *account.balance.get_or_default() += payment.cents;
    }
}

fn main() {}
