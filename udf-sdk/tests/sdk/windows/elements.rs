//! Windows that keep all elements.

use super::*;

#[derive(States)]
pub struct Visitor {
    windows: Windows<Elements<i64>>,
}

#[derive(Output)]
pub struct Listed {
    key: String,
    timing: &'static str,
    start: i64,
    end: i64,
    elements: Json<Vec<i64>>,
}

/// Emits the elements of what fires.
pub struct Lists {
    window: Window,
}

#[udf(state = Visitor, outputs = Emit<Listed>)]
impl Lists {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { window: config.window })
    }

    fn process(
        &self,
        tick: Tick,
        visitor: &mut Visitor,
        out: &mut Emit<Listed>,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if visitor.windows.add(&tick.n).is_late() {
            let (start, key) = (ctx.event_time(), ctx.key_text()?.to_owned());
            let elements = Json(vec![tick.n]);
            out.emit(Listed { key, timing: "too late", start, end: start, elements });
        }
        Ok(())
    }

    #[window(windows = self.window)]
    fn fired(
        &self,
        fired: Fired<Vec<i64>>,
        out: &mut Emit<Listed>,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let Fired { start, end, timing, result } = fired;
        let key = ctx.key_text()?.to_owned();
        out.emit(Listed { key, timing: name(timing), start, end, elements: Json(result) });
        Ok(())
    }
}

#[test]
fn many_come_in_the_order_of_arrival() {
    let mut harness = Harness::<Lists>::with_config(json!({"window": {"tumbling": "1s"}}))
        .key_from("/key")
        .event_time_from("/ts")
        .batches_of(100);
    let sent = (0..350).map(|n| tick("a", n * 7 % 1_000, n));
    assert_eq!(harness.send_all(sent), []);
    harness.with_state("a", |visitor| {
        let lengths: Vec<_> =
            visitor.windows.open().map(|(_, _, elements)| elements.len()).collect();
        assert_eq!(lengths, [350]);
    });
    assert_eq!(harness.stored_elements("a"), 1 + 350 / 32, "blocks, and the open window");
    harness.advance_watermark(999);
    let fired = harness.take("output");
    let expected: Vec<i64> = (0..350).collect();
    assert_eq!(fired[0]["elements"], json!(expected));
    assert_eq!(harness.stored_elements("a"), 0);
}

#[test]
fn those_of_merged_sessions_come_session_by_session() {
    let mut harness = Harness::<Lists>::with_config(json!({"window": {"session": "10ms"}}))
        .key_from("/key")
        .event_time_from("/ts");
    for (n, ts) in [(1, 20), (2, 0), (3, 21), (4, 10), (5, 5)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    harness.end_of_input();
    assert_eq!(harness.take("output")[0]["elements"], json!([2, 1, 3, 4, 5]));
    assert_eq!(harness.stored_elements("a"), 0);
}

#[test]
fn their_state_is_beside() {
    let description = <Lists as millstream_udf::Udf>::description();
    let states: Vec<_> = description.states.iter().map(|state| &state.name[..]).collect();
    assert_eq!(states, ["windows", "windows_past", "windows_elements"]);
}
