//! A timer's handler takes the context of a record.
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

    #[timer(event_time)]
    fn due(&self, ctx: &mut Context<'_>) {
        log::info!("{}", ctx.watermark());
    }
}

fn main() {}
