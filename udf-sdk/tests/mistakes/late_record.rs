//! A late record that nobody looks at.
#![deny(unused_must_use)]
use millstream_udf::prelude::*;
use std::time::Duration;

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[derive(States)]
struct Account {
    minutes: Windows<Elements<i64>>,
}

#[derive(Default)]
struct Minutes;

#[udf(version = "1.0.0", state = Account)]
impl Minutes {
    fn process(&self, payment: Payment, account: &mut Account) {
        account.minutes.add(&payment.cents);
    }

    #[window(minutes = Window::tumbling(Duration::from_secs(60)))]
    fn minute(&self, minute: Fired<Vec<i64>>) {
        log::info!("{}", minute.result.len());
    }
}

fn main() {}
