//! What cannot be said of a stage, a pattern that is not built, and records that cannot be kept.
use millstream_udf::pattern::{Pattern, PatternState, Stages};
use millstream_udf::prelude::*;

#[derive(Input, Serialize, Deserialize)]
struct Payment {
    cents: i64,
}

#[derive(Input)]
struct Unkept {
    cents: i64,
}

fn an_optional_one_that_is_forbidden() -> Pattern<Payment> {
    Pattern::begin("first").not_followed_by("second").optional().next("third").build()
}

fn greedy_for_one() -> Pattern<Payment> {
    Pattern::begin("first").greedy().build()
}

fn repeated_twice() -> Pattern<Payment> {
    Pattern::begin("first").one_or_more().times(3).build()
}

fn not_built() -> Pattern<Payment> {
    Pattern::begin("first").when(|payment: &Payment| payment.cents > 0)
}

fn a_condition_that_borrows(least: &i64) -> Stages<Payment> {
    Pattern::begin("first").when(|payment: &Payment| payment.cents > *least)
}

#[derive(States)]
struct Keeping {
    payments: PatternState<Unkept>,
}

fn main() {}
