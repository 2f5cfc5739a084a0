//! An item of another output.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment<'a> {
    account: &'a str,
}

#[derive(Output)]
struct Seen<'a> {
    account: &'a str,
}

#[derive(Output)]
struct Alert<'a> {
    account: &'a str,
}

#[derive(Outputs)]
struct Out {
    seen: Emit<Seen<'static>>,
    alert: Emit<Alert<'static>>,
}

#[udf(version = "1.0.0", outputs = Out)]
fn watch(payment: Payment<'_>, out: &mut Out) {
    out.seen.emit(Seen { account: payment.account });
    out.alert.emit(Seen { account: payment.account });
}

fn main() {}
