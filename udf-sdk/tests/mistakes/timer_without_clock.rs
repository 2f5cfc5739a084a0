//! A timer that does not say which clock it follows.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment {
    due: i64,
}

#[derive(Default)]
struct Reminder;

#[udf(version = "1.0.0")]
impl Reminder {
    fn process(&self, payment: Payment, ctx: &mut Context<'_>) {
        ctx.set_timer(Self::DUE, payment.due);
    }

    #[timer]
    fn due(&self) {}
}

fn main() {}
