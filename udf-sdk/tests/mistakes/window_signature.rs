//! Handlers of windows that cannot be called.
use millstream_udf::prelude::*;

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

#[derive(Input)]
struct Payment {
    cents: i64,
}

#[derive(States)]
struct Account {
    minutes: Windows<Elements<i64>>,
}

#[derive(Default)]
struct NoLayout;

#[udf(version = "1.0.0", state = Account)]
impl NoLayout {
    fn process(&self, payment: Payment) {}

    #[window(minutes)]
    fn minute(&self, minute: Fired<Vec<i64>>) {}
}

#[derive(Default)]
struct NoState;

#[udf(version = "1.0.0")]
impl NoState {
    fn process(&self, payment: Payment) {}

    #[window(minutes = Window::tumbling(MINUTE))]
    fn minute(&self, minute: Fired<Vec<i64>>) {}
}

#[derive(Default)]
struct NothingFired;

#[udf(version = "1.0.0", state = Account)]
impl NothingFired {
    fn process(&self, payment: Payment) {}

    #[window(minutes = Window::tumbling(MINUTE))]
    fn minute(&self, account: &mut Account) {}
}

#[derive(Default)]
struct OtherContext;

#[udf(version = "1.0.0", state = Account)]
impl OtherContext {
    fn process(&self, payment: Payment) {}

    #[window(minutes = Window::tumbling(MINUTE))]
    fn minute(&self, minute: Fired<Vec<i64>>, ctx: &mut TimerContext<'_>) {}
}

#[derive(Default)]
struct Twice;

#[udf(version = "1.0.0", state = Account)]
impl Twice {
    fn process(&self, payment: Payment) {}

    #[window(minutes = Window::tumbling(MINUTE))]
    fn minute(&self, minute: Fired<Vec<i64>>) {}

    #[window(minutes = Window::tumbling(MINUTE))]
    fn hour(&self, hour: Fired<Vec<i64>>) {}
}

fn main() {}
