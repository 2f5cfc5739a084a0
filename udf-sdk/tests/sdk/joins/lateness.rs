//! With several inputs it is the own input's watermark that makes a record late.

use std::time::Duration;

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::json;

#[derive(Input)]
struct Tick {
    n: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct Sum(i64);

impl Aggregate for Sum {
    type Input<'i> = Tick;
    type Result = i64;

    fn add(&mut self, tick: &Tick) {
        self.0 += tick.n;
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn result(&self) -> i64 {
        self.0
    }
}

#[derive(States)]
struct Sums {
    tens: Windows<Sum>,
    visits: Windows<Sum>,
}

#[derive(Output)]
struct Total {
    start: i64,
    sum: i64,
}

#[derive(Output)]
struct Seen {
    own: i64,
    least: i64,
    late: bool,
}

#[derive(Outputs)]
struct Out {
    tens: Emit<Total>,
    visits: Emit<Total>,
    seen: Emit<Seen>,
}

#[derive(Default)]
struct TwoInputs;

impl TwoInputs {
    fn add(&self, tick: &Tick, sums: &mut Sums, out: &mut Out, ctx: &Context<'_>) {
        let late = [sums.tens.add(tick), sums.visits.add(tick)].map(|added| added.is_late());
        out.seen.emit(Seen {
            own: ctx.input_watermark(),
            least: ctx.watermark(),
            late: late == [true; 2],
        });
    }
}

#[udf(version = "1.0.0", state = Sums, outputs = Out)]
impl TwoInputs {
    #[input]
    fn a(&self, tick: Tick, sums: &mut Sums, out: &mut Out, ctx: &mut Context<'_>) {
        self.add(&tick, sums, out, ctx);
    }

    #[input]
    fn b(&self, tick: Tick, sums: &mut Sums, out: &mut Out, ctx: &mut Context<'_>) {
        self.add(&tick, sums, out, ctx);
    }

    #[window(tens = Window::tumbling(Duration::from_millis(10)))]
    fn ten(&self, Fired { start, result: sum, .. }: Fired<i64>, out: &mut Out) {
        out.tens.emit(Total { start, sum });
    }

    #[window(visits = Window::session(Duration::from_millis(10)))]
    fn visit(&self, Fired { start, result: sum, .. }: Fired<i64>, out: &mut Out) {
        out.visits.emit(Total { start, sum });
    }
}

fn harness() -> Harness<TwoInputs> {
    Harness::new().event_time_from("/ts").with_bound(0)
}

fn tick(n: i64, ts: i64) -> serde_json::Value {
    json!({"n": n, "ts": ts})
}

#[test]
fn a_slow_input_does_not_save_a_late_record_of_a_fast_one() {
    let mut harness = harness();
    // The operator's watermark stays where the slow input is.
    harness.send_to("b", tick(100, 5)).unwrap();
    harness.send_to("a", tick(1, 50)).unwrap();
    assert_eq!(harness.watermark(), 4);
    harness.send_to("a", tick(2, 8)).unwrap();
    harness.send_to("b", tick(200, 8)).unwrap();
    harness.end_of_input();
    let seen = harness.take_lines("seen");
    assert_eq!(seen[2], r#"{"late":true,"least":4,"own":49}"#);
    assert_eq!(seen[3], r#"{"late":false,"least":4,"own":4}"#);
    let expected = [r#"{"start":0,"sum":300}"#, r#"{"start":50,"sum":1}"#];
    assert_eq!(harness.take_lines("tens"), expected);
    // A session that the other input keeps open takes it no more than a window does.
    assert_eq!(
        harness.take_lines("visits"),
        [r#"{"start":5,"sum":300}"#, r#"{"start":50,"sum":1}"#]
    );
}

#[test]
fn an_idle_input_holds_nothing_up() {
    let mut harness = harness();
    harness.send_to("b", tick(100, 5)).unwrap();
    harness.send_to("a", tick(1, 50)).unwrap();
    harness.idle("b");
    assert_eq!(harness.watermark(), 49);
    assert_eq!(harness.take_lines("tens"), [r#"{"start":0,"sum":100}"#]);
    // It comes back behind the operator's watermark, which does not go back.
    harness.send_to("b", tick(100, 9)).unwrap();
    assert_eq!(harness.take_lines("seen").last().unwrap(), r#"{"late":true,"least":49,"own":49}"#);
    harness.advance_watermark_of("a", 1_000);
    assert_eq!(harness.watermark(), 49);
    harness.advance_watermark_of("b", 70);
    assert_eq!(harness.watermark(), 70);
}
