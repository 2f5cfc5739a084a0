//! Windows without a handler, and handlers of what is no window.
use millstream_udf::prelude::*;
use std::time::Duration;

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct Total(i64);

impl Aggregate for Total {
    type Input<'i> = i64;
    type Result = i64;

    fn add(&mut self, cents: &i64) {
        self.0 += cents;
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn result(&self) -> i64 {
        self.0
    }
}

#[derive(States)]
struct Account {
    minutes: Windows<Total>,
    largest: Value<i64>,
}

#[derive(Default)]
struct Unhandled;

#[udf(version = "1.0.0", state = Account)]
impl Unhandled {
    fn process(&self, payment: Payment, account: &mut Account) {
        let _ = account.minutes.add(&payment.cents);
    }
}

#[derive(Default)]
struct OfAValue;

#[udf(version = "1.0.0", state = Account)]
impl OfAValue {
    fn process(&self, _payment: Payment) {}

    #[window(largest = Window::tumbling(Duration::from_secs(60)))]
    fn minute(&self, _minute: Fired<i64>) {}
}

#[derive(Default)]
struct OtherResult;

#[udf(version = "1.0.0", state = Account)]
impl OtherResult {
    fn process(&self, payment: Payment, account: &mut Account) -> Result<()> {
        ensure!(!account.minutes.add(&payment).is_late(), "late");
        Ok(())
    }

    #[window(minutes = Window::tumbling(60))]
    fn minute(&self, _minute: Fired<Total>) {}
}

#[derive(States)]
struct Expiring {
    #[state(ttl = "1d")]
    minutes: Windows<Total>,
}

#[derive(States)]
struct Listed {
    minutes: Windows<i64>,
}

fn main() {}
