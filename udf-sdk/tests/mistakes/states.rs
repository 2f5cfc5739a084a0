//! Attributes of states that contradict themselves.
use millstream_udf::prelude::*;

fn upgrade(_from: u32, bytes: &[u8]) -> Result<i64> {
    decode_state(bytes)
}

#[derive(States)]
struct ClockWithoutTtl {
    #[state(event_time)]
    last: Value<i64>,
}

#[derive(States)]
struct TwoClocks {
    #[state(ttl = "1d", event_time, processing_time)]
    last: Value<i64>,
}

#[derive(States)]
struct NothingOlder {
    #[state(migrate = upgrade)]
    last: Value<i64>,
}

#[derive(States)]
struct ReadByNothing {
    #[state(version = 2, reads = [1])]
    last: Value<i64>,
}

#[derive(States)]
struct NotOlder {
    #[state(version = 2, reads = [1, 2], migrate = upgrade)]
    last: Value<i64>,
}

#[derive(States)]
struct Zero {
    #[state(version = 0)]
    last: Value<i64>,
}

fn main() {}
