//! Lists and maps, TTL, and that a refused record leaves no trace in them.

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::{Value as Item, json};

#[derive(Input)]
struct Visit<'a> {
    page: &'a str,
    #[field(rename = "bad")]
    is_bad: Option<bool>,
}

#[derive(Output)]
struct Seen {
    history: Json<Vec<String>>,
    counts: Json<Vec<(String, u64)>>,
    fresh: i64,
}

#[derive(States)]
struct Visitor {
    history: List<String>,
    counts: Map<String, u64>,
    #[state(ttl = "10s")]
    recent: Map<i64, ()>,
    #[state(ttl = "10s")]
    last: Value<String>,
}

#[udf(state = Visitor)]
fn visits(
    visit: Visit<'_>,
    visitor: &mut Visitor,
    ctx: &mut Context<'_>,
    out: &mut Emit<Seen>,
) -> Result<()> {
    visitor.history.push(&visit.page.to_owned());
    let count = visitor.counts.get(visit.page).unwrap_or(0) + 1;
    visitor.counts.insert(visit.page, &count);
    visitor.recent.insert(&ctx.event_time(), &());
    visitor.last.set(visit.page.to_owned());
    ensure!(visit.is_bad != Some(true), "bad");
    out.emit(Seen {
        history: Json(visitor.history.iter().collect()),
        counts: Json(visitor.counts.iter().collect()),
        fresh: visitor.recent.iter().count() as i64,
    });
    Ok(())
}

fn visit(page: &str) -> Item {
    json!({"visitor": "v", "page": page})
}

#[test]
fn elements_are_read_and_written_one_by_one() {
    let mut harness = Harness::<Visits>::new().key_from("/visitor").batches_of(3);
    let bad = json!({"visitor": "v", "page": "bad", "bad": true});
    let refused = harness.send_all([visit("b"), visit("a"), bad, visit("b")]);
    assert_eq!(refused.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [2]);
    let last = harness.take_lines("output").pop().unwrap();
    assert_eq!(last, r#"{"counts":[["a",1],["b",2]],"fresh":1,"history":["b","a","b"]}"#);
    harness.with_state("v", |visitor| {
        assert_eq!(
            (visitor.history.len(), visitor.history.get(1), visitor.history.get(3)),
            (3, Some("a".into()), None)
        );
        visitor.history.set(1, &"c".to_owned());
        visitor.counts.remove("a");
        assert!(!visitor.counts.contains("a") && visitor.counts.contains("b"));
    });
    harness.with_state("v", |visitor| {
        assert_eq!(visitor.history.iter().collect::<Vec<_>>(), ["b", "c", "b"]);
        visitor.history.clear();
        visitor.counts.clear();
        assert!(visitor.history.is_empty());
    });
    harness.with_state("other", |visitor| assert!(visitor.history.is_empty()));
}

#[test]
fn elements_expire_by_processing_time_since_their_last_write() {
    let mut harness = Harness::<Visits>::new().key_from("/visitor");
    harness.send(visit("a")).unwrap();
    harness.advance_processing_time(9_999);
    harness
        .with_state("v", |visitor| assert_eq!(visitor.last.get().map(String::as_str), Some("a")));
    harness.send(visit("b")).unwrap();
    assert_eq!(harness.take("output")[1]["fresh"], 2);
    harness.advance_processing_time(10_000);
    harness.with_state("v", |visitor| {
        assert_eq!(visitor.recent.iter().map(|(at, ())| at).collect::<Vec<_>>(), [9_999]);
        assert!(visitor.last.is_set());
    });
    harness.advance_processing_time(19_999);
    harness.with_state("v", |visitor| assert!(!visitor.last.is_set()));
}

#[test]
fn long_ones_are_fetched_page_by_page() {
    let mut harness = Harness::<Visits>::new();
    harness.with_state("v", |visitor| {
        for i in -150..150 {
            visitor.history.push(&i.to_string());
            visitor.recent.insert(&i, &());
        }
    });
    harness.with_state("v", |visitor| {
        assert_eq!(visitor.history.iter().count(), 300);
        assert!(visitor.recent.iter().map(|(at, ())| at).eq(-150..150));
        assert!(visitor.recent.iter_after(&48).map(|(at, ())| at).eq(49..150));
    });
}
