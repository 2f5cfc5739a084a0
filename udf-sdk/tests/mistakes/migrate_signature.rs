//! Migrations that do not fit what they migrate.
use millstream_udf::prelude::*;

fn text(_from: u32, bytes: &[u8]) -> Result<String> {
    decode_state(bytes)
}

fn bare(bytes: &[u8]) -> i64 {
    bytes.len() as i64
}

#[derive(States)]
struct AnotherType {
    #[state(version = 2, migrate = text)]
    last: Value<i64>,
}

#[derive(States)]
struct AnotherShape {
    #[state(version = 2, migrate = bare)]
    counts: Map<String, i64>,
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Sum(i64);

impl Aggregate for Sum {
    type Input<'a> = i64;
    type Result = i64;

    fn add(&mut self, input: &i64) {
        self.0 += input;
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn result(&self) -> i64 {
        self.0
    }
}

#[derive(States)]
struct OfWindows {
    #[state(version = 2, migrate = text)]
    minutes: Windows<Sum>,
}

fn main() {}
