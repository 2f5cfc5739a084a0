//! Broadcast state is written by broadcast records and read by all others.

use millstream_udf::prelude::*;

#[derive(States)]
struct Account {
    count: Value<i64>,
}

#[derive(States)]
struct Rules {
    limits: BroadcastMap<String, i64>,
}

#[derive(Default)]
struct Writes;

#[udf(version = "1.0.0", state = Account, broadcast = Rules)]
impl Writes {
    fn process(&self, _: Payload<'_>, rules: &mut Rules) {
        rules.limits.clear();
    }
}

#[derive(Default)]
struct WritesThroughAShared;

#[udf(version = "1.0.0", state = Account, broadcast = Rules)]
impl WritesThroughAShared {
    fn process(&self, _: Payload<'_>, rules: &Rules) {
        rules.limits.insert("a", &1);
    }
}

#[derive(Default)]
struct TouchesKeys;

#[udf(version = "1.0.0", state = Account, broadcast = Rules)]
impl TouchesKeys {
    #[input(broadcast)]
    fn rules(&self, _: Payload<'_>, account: &mut Account) {
        account.count.set(1);
    }

    fn process(&self, _: Payload<'_>) {}
}

#[derive(Default)]
struct SetsTimers;

#[udf(version = "1.0.0", state = Account, broadcast = Rules)]
impl SetsTimers {
    #[input(broadcast)]
    fn rules(&self, _: Payload<'_>, ctx: &mut Context<'_>) {
        let _ = ctx.key();
    }

    fn process(&self, _: Payload<'_>) {}
}

#[derive(Default)]
struct KeepsNothing;

#[udf(version = "1.0.0", state = Account)]
impl KeepsNothing {
    #[input(broadcast)]
    fn rules(&self, _: Payload<'_>) {}

    fn process(&self, _: Payload<'_>) {}
}

#[derive(States)]
struct Mixed {
    count: Value<i64>,
    limits: BroadcastMap<String, i64>,
}

#[derive(Default)]
struct Mixes;

#[udf(version = "1.0.0", state = Mixed)]
impl Mixes {
    fn process(&self, _: Payload<'_>) {}
}

#[derive(States)]
struct Forgets {
    #[state(ttl = "1h")]
    limits: BroadcastMap<String, i64>,
}

fn main() {}
