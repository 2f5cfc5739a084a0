//! Both kinds of timers, their order, and what handlers of timers may do.

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::json;

#[derive(Input)]
struct Set {
    at: i64,
    again: bool,
}

#[derive(Output)]
struct Fired {
    name: &'static str,
    key: String,
    at: i64,
    watermark: i64,
    now: i64,
}

#[derive(Default)]
struct Alarm;

#[udf(outputs = Emit<Fired>)]
impl Alarm {
    fn process(&self, set: Set, ctx: &mut Context<'_>) {
        ctx.set_timer(Self::LATER, set.at);
        ctx.set_timer(Self::ELAPSED, set.at);
        if set.again {
            ctx.set_timer(Self::EARLIER, set.at);
        } else {
            ctx.delete_timer(Self::EARLIER, set.at);
        }
    }

    #[timer(event_time)]
    fn later(&self, out: &mut Emit<Fired>, ctx: &mut TimerContext<'_>) -> Result<()> {
        Self::report("later", out, ctx)
    }

    /// Sets itself once more, at a time that may be past already.
    #[timer(event_time)]
    fn earlier(&self, out: &mut Emit<Fired>, ctx: &mut TimerContext<'_>) -> Result<()> {
        if ctx.time() < 200 {
            ctx.set_timer(Self::EARLIER, ctx.time() + 100);
        }
        Self::report("earlier", out, ctx)
    }

    #[timer(processing_time)]
    fn elapsed(&self, out: &mut Emit<Fired>, ctx: &mut TimerContext<'_>) -> Result<()> {
        Self::report("elapsed", out, ctx)
    }
}

impl Alarm {
    fn report(name: &'static str, out: &mut Emit<Fired>, ctx: &TimerContext<'_>) -> Result<()> {
        let key = ctx.key_text()?.to_owned();
        out.emit(Fired {
            name,
            key,
            at: ctx.time(),
            watermark: ctx.watermark(),
            now: ctx.processing_time(),
        });
        Ok(())
    }
}

fn fired(harness: &mut Harness<Alarm>) -> Vec<(String, String, i64)> {
    let items = harness.take("output").into_iter();
    items
        .map(|item| {
            (
                item["name"].as_str().unwrap().into(),
                item["key"].as_str().unwrap().into(),
                item["at"].as_i64().unwrap(),
            )
        })
        .collect()
}

fn event(name: &str, key: &str, at: i64) -> (String, String, i64) {
    (name.into(), key.into(), at)
}

#[test]
fn order_is_time_key_name_and_new_ones_fire_in_the_same_advance() {
    let mut harness = Harness::<Alarm>::new().key_from("/key");
    for (key, at) in [("b", 100), ("a", 100), ("a", 150)] {
        harness.send(json!({"key": key, "at": at, "again": true})).unwrap();
    }
    harness.send(json!({"key": "b", "at": 100, "again": false})).unwrap();
    harness.advance_watermark(99);
    assert_eq!(fired(&mut harness), []);
    harness.advance_watermark(250);
    let expected = [
        event("earlier", "a", 100),
        event("later", "a", 100),
        event("later", "b", 100),
        event("earlier", "a", 150),
        event("later", "a", 150),
        event("earlier", "a", 200),
        event("earlier", "a", 250),
    ];
    assert_eq!(fired(&mut harness), expected);
}

#[test]
fn processing_time_timers_follow_the_other_clock() {
    let mut harness = Harness::<Alarm>::new().key_from("/key");
    harness.send(json!({"key": "a", "at": 100, "again": false})).unwrap();
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [event("later", "a", 100)]);
    assert_eq!(harness.pending_timers(), [event("a", "elapsed", 100)]);
    harness.advance_processing_time(100);
    assert_eq!(fired(&mut harness), [event("elapsed", "a", 100)]);
}
