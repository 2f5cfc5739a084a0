//! An `impl` block without a handler.
use millstream_udf::prelude::*;

#[derive(Default)]
struct Nothing;

#[udf(version = "1.0.0")]
impl Nothing {
    fn handle(&self) {}
}

fn main() {}
