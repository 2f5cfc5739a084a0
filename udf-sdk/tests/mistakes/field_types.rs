//! Fields of types that no column can hold, or that their source cannot give.
use millstream_udf::prelude::*;

#[derive(Input)]
struct Payment<'a> {
    cents: u64,
    #[field(header = "Amount")]
    amount: f64,
    bytes: &'a [u8],
}

#[derive(Output)]
struct Total {
    parts: Vec<i64>,
}

#[derive(Output)]
struct Scan {
    id: i64,
    image: Vec<u8>,
}

#[derive(States)]
struct Account {
    balance: i64,
}

#[derive(Outputs)]
struct Out {
    total: Total,
}

fn main() {}
