//! Windows: the rules one by one, and all kinds of them against a model.

mod elements;
mod firing;
mod model;
mod random;
mod rules;

use std::time::Duration;

use millstream_udf::prelude::*;
use millstream_udf::testing::{Harness, Record};
use millstream_udf::window::Timing;
use serde_json::{Value, json};

/// What comes in.
#[derive(Input)]
pub struct Tick {
    n: i64,
}

/// The order of what was added shows, so that it can be compared.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Numbers {
    sum: i64,
    count: u32,
    merges: u32,
}

impl Aggregate for Numbers {
    type Input<'i> = i64;
    type Result = Self;

    fn add(&mut self, n: &i64) {
        self.sum += n;
        self.count += 1;
    }

    fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
        self.merges += other.merges + 1;
    }

    fn result(&self) -> Self {
        self.clone()
    }
}

#[derive(States)]
struct Key {
    windows: Windows<Numbers>,
}

/// What fired, or was late.
#[derive(Output)]
struct Line {
    key: String,
    timing: &'static str,
    start: i64,
    end: i64,
    sum: i64,
    count: u32,
}

#[derive(Deserialize)]
struct Config {
    window: Window,
}

/// Emits what fires and what is late, to one output, so that their order can be compared.
struct Sums {
    window: Window,
}

#[udf(state = Key, outputs = Emit<Line>)]
impl Sums {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { window: config.window })
    }

    fn process(
        &self,
        tick: Tick,
        key: &mut Key,
        out: &mut Emit<Line>,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if key.windows.add(&tick.n).is_late() {
            let (start, key) = (ctx.event_time(), ctx.key_text()?.to_owned());
            out.emit(Line { key, timing: "too late", start, end: start, sum: tick.n, count: 1 });
        }
        Ok(())
    }

    #[window(windows = self.window)]
    fn fired(
        &self,
        fired: Fired<Numbers>,
        out: &mut Emit<Line>,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let Fired { start, end, timing, result: Numbers { sum, count, .. } } = fired;
        ensure!(sum != REFUSED, "a sum of {sum}");
        out.emit(Line {
            key: ctx.key_text()?.into(),
            timing: name(timing),
            start,
            end,
            sum,
            count,
        });
        Ok(())
    }
}

/// A sum that the handler refuses.
const REFUSED: i64 = -666_666;

fn name(timing: Timing) -> &'static str {
    match timing {
        Timing::Early => "early",
        Timing::OnTime => "on time",
        Timing::Late => "late",
    }
}

/// A harness with this window, and a watermark that follows the records by hand only.
fn harness(window: Value) -> Harness<Sums> {
    Harness::with_config(json!({"window": window})).key_from("/key").event_time_from("/ts")
}

fn tick(key: &str, ts: i64, n: i64) -> Value {
    json!({"key": key, "ts": ts, "n": n})
}

/// What was emitted, as (timing, start, end, sum).
fn fired<U: millstream_udf::Udf>(harness: &mut Harness<U>) -> Vec<(String, i64, i64, i64)> {
    let lines = harness.take("output").into_iter();
    lines
        .map(|line| {
            let integer = |name: &str| line[name].as_i64().unwrap();
            let timing = line["timing"].as_str().unwrap().to_owned();
            (timing, integer("start"), integer("end"), integer("sum"))
        })
        .collect()
}

fn line(timing: &str, start: i64, end: i64, sum: i64) -> (String, i64, i64, i64) {
    (timing.into(), start, end, sum)
}
