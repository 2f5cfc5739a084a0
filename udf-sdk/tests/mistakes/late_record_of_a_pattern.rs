//! A late record that nobody takes back.
#![deny(unused_must_use)]

use millstream_udf::pattern::PatternState;
use millstream_udf::prelude::*;

#[derive(Input, Serialize, Deserialize)]
struct Payment {
    cents: i64,
}

#[derive(States)]
struct Account {
    payments: PatternState<Payment>,
}

#[derive(Default)]
struct Forgetful;

#[udf(version = "1.0.0", state = Account)]
impl Forgetful {
    fn process(&self, payment: Payment, account: &mut Account, ctx: &mut Context<'_>) {
        account.payments.accept(payment, Self::PAYMENTS, ctx);
    }

    #[timer(event_time)]
    fn payments() {}
}

fn main() {}
