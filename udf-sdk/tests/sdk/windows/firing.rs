//! Triggers, and handlers of windows that feed others or refuse.

use super::*;

#[test]
fn by_count() {
    let mut harness = harness(json!({"tumbling": "100ms", "early": {"records": 2}}));
    for n in [1, 2, 4, 8, 16] {
        harness.send(tick("a", n, n)).unwrap();
    }
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 3), line("early", 0, 100, 15)]);
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 0, 100, 31)]);
}

#[test]
fn by_event_time_when_something_has_come() {
    let mut harness = harness(json!({"tumbling": "100ms", "early": {"event_time": "20ms"}}));
    harness.send(tick("a", 5, 1)).unwrap();
    harness.advance_watermark(19);
    harness.send(tick("a", 1, 2)).unwrap();
    assert_eq!(fired(&mut harness), []);
    harness.advance_watermark(20);
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 3)]);
    harness.advance_watermark(65);
    assert_eq!(fired(&mut harness), []);
    // Behind the watermark: the next multiple that the watermark will reach counts.
    harness.send(tick("a", 2, 4)).unwrap();
    harness.advance_watermark(80);
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 7)]);
    // 100 is behind the end.
    harness.send(tick("a", 90, 8)).unwrap();
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 0, 100, 15)]);
}

#[test]
fn by_processing_time() {
    let mut harness = harness(json!({"session": "100ms", "early": {"processing_time": "20ms"}}));
    harness.advance_processing_time(1_005);
    harness.send(tick("a", 0, 1)).unwrap();
    harness.advance_processing_time(1_019);
    assert_eq!(fired(&mut harness), []);
    harness.advance_processing_time(1_020);
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 1)]);
    harness.advance_processing_time(2_000);
    harness.send(tick("a", 50, 2)).unwrap();
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 0, 150, 3)]);
    harness.advance_processing_time(3_000);
    assert_eq!(fired(&mut harness), []);
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn whichever_comes_first() {
    let trigger = json!({"records": 3, "event_time": "20ms"});
    let mut harness = harness(json!({"tumbling": "100ms", "early": trigger}));
    for n in [1, 2, 4] {
        harness.send(tick("a", n, n)).unwrap();
    }
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 7)]);
    harness.advance_watermark(20);
    assert_eq!(fired(&mut harness), []);
    harness.send(tick("a", 3, 8)).unwrap();
    harness.advance_watermark(40);
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 15)]);
}

#[test]
fn discarding_gives_what_is_new() {
    let mut harness = harness(
        json!({"tumbling": "100ms", "early": {"records": 2}, "discarding": true, "allowed_lateness": "50ms"}),
    );
    for n in [1, 2, 4, 8] {
        harness.send(tick("a", n, n)).unwrap();
    }
    assert_eq!(fired(&mut harness), [line("early", 0, 100, 3), line("early", 0, 100, 12)]);
    harness.advance_watermark(99);
    assert_eq!(fired(&mut harness), [], "there is nothing new");
    harness.send(tick("a", 5, 16)).unwrap();
    harness.send(tick("a", 6, 32)).unwrap();
    assert_eq!(fired(&mut harness), [line("late", 0, 100, 16), line("late", 0, 100, 32)]);
    harness.end_of_input();
    assert_eq!(fired(&mut harness), []);
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn a_discarded_session_still_joins_others() {
    let window = json!({"session": "10ms", "early": {"records": 1}, "discarding": true});
    let mut harness = harness(window);
    for (ts, n) in [(0, 1), (15, 2), (8, 4)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    assert_eq!(
        fired(&mut harness),
        [line("early", 0, 10, 1), line("early", 15, 25, 2), line("early", 0, 25, 4)]
    );
}

#[test]
fn counts_of_sessions_add_up() {
    let mut harness = harness(json!({"session": "10ms", "early": {"records": 3}}));
    for (ts, n) in [(0, 1), (15, 2), (8, 4)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    assert_eq!(fired(&mut harness), [line("early", 0, 25, 7)]);
}

#[test]
fn the_global_window_fires_by_its_trigger_alone() {
    let all = (i64::MIN, i64::MAX);
    let mut counting = harness(json!({"global": {"records": 2}, "discarding": true}));
    for n in [1, 2, 4, 8, 16] {
        counting.send(tick("a", -n, n)).unwrap();
    }
    counting.end_of_input();
    let expected = [line("early", all.0, all.1, 3), line("early", all.0, all.1, 12)];
    assert_eq!(fired(&mut counting), expected);
    counting.with_state("a", |key| assert_eq!(key.windows.open().count(), 1));

    let mut timed = harness(json!({"global": {"event_time": "10ms"}}));
    timed.send(tick("a", 3, 1)).unwrap();
    timed.advance_watermark(10);
    timed.send(tick("a", 4, 2)).unwrap();
    timed.end_of_input();
    assert_eq!(fired(&mut timed), [line("early", all.0, all.1, 1), line("early", all.0, all.1, 3)]);
    assert_eq!(timed.pending_timers(), []);
}

#[test]
fn a_refused_firing_drops_its_window_only() {
    let mut harness = harness(json!({"tumbling": "10ms", "early": {"records": 2}}));
    harness.send(tick("a", 0, REFUSED - 1)).unwrap();
    // The record that makes it fire is refused with it, and has not been added.
    assert!(harness.send(tick("a", 1, 1)).is_err());
    harness.send(tick("a", 2, 2)).unwrap();
    assert_eq!(fired(&mut harness), [line("early", 0, 10, REFUSED + 1)]);
}

#[test]
fn a_window_whose_end_is_refused_is_dropped() {
    let mut harness = harness(json!({"tumbling": "10ms"}));
    harness.send(tick("a", 5, REFUSED)).unwrap();
    let refused = std::panic::AssertUnwindSafe(|| harness.advance_watermark(9));
    // To the host it is a dead letter; the harness panics.
    assert!(std::panic::catch_unwind(refused).is_err());
    harness.send(tick("a", 9, 1)).unwrap();
    assert_eq!(fired(&mut harness), [line("too late", 9, 9, 1)]);
    assert_eq!(harness.stored_elements("a"), 0);
    harness.send(tick("a", 15, 1)).unwrap();
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 10, 20, 1)]);
    assert_eq!(harness.stored_elements("a"), 0);
}

/// Handlers of windows and of timers that add to other windows.
#[derive(Default)]
struct Rollup;

#[derive(States)]
struct Account {
    tens: Windows<Numbers>,
    hundreds: Windows<Numbers>,
    last: millstream_udf::Value<i64>,
}

#[udf(state = Account, outputs = Emit<Line>)]
impl Rollup {
    fn process(&self, tick: Tick, account: &mut Account, ctx: &mut Context<'_>) -> Result<()> {
        ensure!(!account.tens.add(&tick.n).is_late(), "too late");
        ctx.set_timer(Self::REMINDER, ctx.event_time() + 30);
        Ok(())
    }

    /// From 5 to 105, so that all tens of a hundred end before it does.
    #[window(hundreds = Window::tumbling(Duration::from_millis(100)).offset(Duration::from_millis(5)))]
    fn hundred(&self, hundred: Fired<Numbers>, account: &mut Account, out: &mut Emit<Line>) {
        let Fired { start, end, timing, result: Numbers { sum, count, .. } } = hundred;
        account.last.set(end);
        out.emit(Line { key: "hundred".into(), timing: name(timing), start, end, sum, count });
    }

    #[timer(event_time)]
    fn reminder(&self, account: &mut Account, ctx: &mut TimerContext<'_>) {
        if account.hundreds.add(&1_000).is_late() {
            log::warn!("late at {}", ctx.time());
        }
    }

    #[window(tens = Window::tumbling(Duration::from_millis(10)))]
    fn ten(
        &self,
        ten: Fired<Numbers>,
        account: &mut Account,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        ensure!(ctx.watermark() >= ten.end - 1, "it fired early");
        if account.hundreds.add(&ten.result.sum).is_late() {
            log::warn!("late until {}", ten.end);
        }
        Ok(())
    }
}

#[test]
fn what_handlers_add_has_the_time_of_their_timer() {
    let mut harness =
        Harness::<Rollup>::new().key_from("/key").event_time_from("/ts").with_bound(0);
    for (ts, n) in [(11, 1), (15, 2), (42, 4), (99, 8), (103, 16), (160, 32)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    assert_eq!(fired(&mut harness), [line("on time", 5, 105, 3_000 + 15)]);
    harness.with_state("a", |account| assert_eq!(account.last.get(), Some(&105)));
    assert_eq!(harness.logs(), []);
    // The end of the input is behind all windows.
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 105, 205, 2_000 + 16)]);
    assert_eq!(harness.logs().len(), 2);
    assert_eq!(harness.stored_elements("a"), 1, "of `last`");
}
