//! Circles through one stage and several, a published example, and all circles of random transfers against a search.

mod search;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record, Refusal};
use serde_json::{Value, json};

use crate::RoundTrips;

fn config(changes: Value) -> Value {
    let mut config =
        json!({"currency": "EUR", "min_minor": 100, "tolerance_bps": 1000, "window": "1s"});
    for (key, value) in changes.as_object().expect("changes") {
        config[key] = value.clone();
    }
    config
}

fn transfer(id: &str, ts: i64, debtor: &str, creditor: &str, amount: i64) -> Value {
    json!({"txn_id": id, "ts": ts, "debtor": debtor, "creditor": creditor, "amount_minor": amount, "currency": "EUR"})
}

/// A record keyed by one of its fields.
fn keyed(record: &Value, by: &str) -> Record {
    Record::json(record).key(record[by].as_str().expect("an account"))
}

/// Sends ways and transfers through a stage, one after the other; gives its circles and the ways for the next stage.
fn stage(
    config: &Value,
    paths: &[Value],
    transfers: &[Value],
    batch: usize,
) -> (Vec<Value>, Vec<Value>) {
    let mut harness =
        Harness::<RoundTrips>::with_config(config.clone()).event_time_from("/ts").batches_of(batch);
    assert_eq!(harness.send_all_to("paths", paths.iter().map(|path| keyed(path, "creditor"))), []);
    let transfers = transfers.iter().map(|transfer| keyed(transfer, "debtor"));
    assert_eq!(harness.send_all_to("transfers", transfers), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    assert_eq!(harness.take_lines("unfollowed"), [""; 0]);
    (harness.take("circle"), harness.take("path"))
}

/// The circles of at most so many transfers, by the stages that a pipeline would have.
fn circles(config: &Value, transfers: &[Value], legs: usize, batch: usize) -> Vec<Value> {
    let (mut paths, mut found) = (transfers.to_vec(), Vec::new());
    for _ in 2..=legs {
        let (closed, longer) = stage(config, &paths, transfers, batch);
        found.extend(closed);
        paths = longer;
    }
    found
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
}

#[test]
fn an_item_says_everything() {
    let transfers = [
        transfer("t1", 10, "a", "b", 1_000),
        transfer("t2", 30, "b", "c", 990),
        transfer("t3", 60, "c", "a", 950),
    ];
    let (closed, paths) = stage(&config(json!({})), &transfers, &transfers, 1);
    assert_eq!(closed, [] as [Value; 0]);
    let legs = |list: &[(&str, &str, i64, i64)]| {
        let leg = |(id, to, amount, ts): &(&str, &str, i64, i64)| json!({"txn_id": id, "creditor": to, "amount_minor": amount, "ts": ts});
        list.iter().map(leg).collect::<Vec<_>>()
    };
    assert_eq!(
        paths[0],
        json!({"type": "path", "txn_id": "t2", "ts": 30, "debtor": "a", "creditor": "c", "amount_minor": 990, "currency": "EUR",
            "legs": legs(&[("t1", "b", 1_000, 10), ("t2", "c", 990, 30)])})
    );
    let (closed, _) = stage(&config(json!({})), &paths, &transfers, 1);
    assert_eq!(
        closed,
        [
            json!({"type": "circle", "account": "a", "began_ts": 10, "ts": 60, "currency": "EUR", "sent_minor": 1_000, "returned_minor": 950,
            "accounts": ["a", "b", "c", "a"], "txn_ids": ["t1", "t2", "t3"], "reason": "circle"})
        ]
    );
}

#[test]
fn what_is_no_circle() {
    let found = |changes: Value, back: Value| {
        let transfers = [transfer("t1", 10, "a", "b", 1_000), back];
        let circles = circles(&config(changes), &transfers, 3, 1);
        circles.first().map(|circle| circle["reason"].as_str().expect("a code").to_owned())
    };
    let back = |ts, amount| transfer("t2", ts, "b", "a", amount);
    assert_eq!(found(json!({}), back(20, 1_000)).as_deref(), Some("there_and_back"));
    // Not later, and too late.
    assert_eq!(found(json!({}), back(10, 1_000)), None);
    assert_eq!(found(json!({}), back(1_010, 1_000)).as_deref(), Some("there_and_back"));
    assert_eq!(found(json!({}), back(1_011, 1_000)), None);
    // Too much or too little.
    for (amount, is_one) in [(900, true), (899, false), (1_100, true), (1_101, false)] {
        assert_eq!(found(json!({}), back(20, amount)).is_some(), is_one, "{amount}");
    }
    assert_eq!(found(json!({"min_minor": 1_001}), back(20, 1_000)), None);
    assert_eq!(found(json!({}), transfer("t2", 20, "c", "a", 1_000)), None);
}

/// The example of `simple_cycles` in NetworkX's documentation (D. B. Johnson's circuits of a graph, 1975): the edges 0-0, 0-1, 0-2, 1-2, 2-0,
/// 2-1, 2-2 have the circuits [0], [0, 1, 2], [0, 2], [1, 2] and [2]. Every edge is paid three times in turn, so that money can go any
/// way; an account cannot pay itself.
#[test]
fn the_circuits_of_networkx() {
    let edges = [("0", "1"), ("0", "2"), ("1", "2"), ("2", "0"), ("2", "1")];
    let mut transfers = Vec::new();
    for round in 0..3 {
        for (debtor, creditor) in edges {
            let id = format!("{round}{debtor}{creditor}");
            transfers.push(transfer(&id, 100 * (round + 1), debtor, creditor, 1_000));
        }
    }
    let circles = circles(&config(json!({})), &transfers, 4, 3);
    let mut circuits: Vec<Vec<&str>> = circles
        .iter()
        .map(|circle| {
            let mut accounts = texts(&circle["accounts"]);
            accounts.pop();
            let least = (0..accounts.len()).min_by_key(|i| accounts[*i]).expect("accounts");
            accounts.rotate_left(least);
            accounts
        })
        .collect();
    circuits.sort();
    circuits.dedup();
    assert_eq!(circuits, [vec!["0", "1", "2"], vec!["0", "2"], vec!["1", "2"]]);
}

#[test]
fn what_is_not_followed_is_named() {
    let mut harness =
        Harness::<RoundTrips>::with_config(config(json!({}))).event_time_from("/ts").with_bound(0);
    for i in 0..1_001 {
        let path = transfer(&format!("p{i}"), 100 + i, "a", "b", 1_000);
        harness.send_to("paths", keyed(&path, "creditor")).unwrap();
    }
    assert_eq!(
        harness.take_lines("unfollowed"),
        [
            r#"{"account":"b","reason":"too_many_paths","ts":1100,"txn_id":"p1000","type":"unfollowed"}"#
        ]
    );
    for (input, by) in [("paths", "creditor"), ("transfers", "debtor")] {
        let late = transfer("t", 50, "a", "d", 1_000);
        harness.advance_watermark(60);
        harness.send_to(input, keyed(&transfer("u", 2_000, "a", "c", 1_000), by)).unwrap();
        harness.send_to(input, keyed(&late, by)).unwrap();
        let account = &late[by];
        assert_eq!(
            harness.take("unfollowed"),
            [
                json!({"type": "unfollowed", "txn_id": "t", "ts": 50, "account": account, "reason": "late"})
            ]
        );
    }
}

/// A host takes 100 items per record: the rest is named once.
#[test]
fn of_many_ways_at_once_the_first_are_followed() {
    let ways: Vec<_> =
        (0..300).map(|i| transfer(&format!("p{i}"), i, &format!("a{i}"), "hub", 1_000)).collect();
    let mut harness = Harness::<RoundTrips>::with_config(config(json!({}))).event_time_from("/ts");
    harness.send_all_to("paths", ways.iter().map(|way| keyed(way, "creditor")));
    for (id, ts) in [("t1", 400), ("t2", 401)] {
        harness
            .send_to("transfers", keyed(&transfer(id, ts, "hub", "z", 1_000), "debtor"))
            .unwrap();
    }
    harness.end_of_input();
    let paths = harness.take("path");
    assert_eq!(paths.len(), 2 * 99);
    assert_eq!((&paths[98]["debtor"], &paths[99]["debtor"]), (&json!("a98"), &json!("a0")));
    let named = harness.take("unfollowed");
    let brief: Vec<_> =
        named.iter().map(|item| (&item["txn_id"], &item["account"], &item["reason"])).collect();
    let reason = json!("too_many_at_once");
    assert_eq!(
        brief,
        [(&json!("t1"), &json!("hub"), &reason), (&json!("t2"), &json!("hub"), &reason)]
    );
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let mut harness = Harness::<RoundTrips>::with_config(config(json!({}))).event_time_from("/ts");
    let good = transfer("t", 10, "a", "b", 1_000);
    for (field, value, why) in [
        ("txn_id", json!(""), "`txn_id` has 0 bytes; it must have 1 to 128"),
        ("creditor", json!("a"), "`debtor` and `creditor` are both `a`"),
        ("amount_minor", json!(0), "an amount of 0; it must be above 0"),
        ("currency", json!("USD"), "an amount in USD; it must be in EUR"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(
            harness.send_to("transfers", keyed(&bad, "debtor")),
            Err(Refusal::Failed(why.into())),
            "{bad}"
        );
    }
    let failed = |why: &str| Err(Refusal::Failed(why.into()));
    let other_time = Record::json(&good).key("a").event_time(11);
    let refused = harness.send_to("transfers", other_time);
    assert_eq!(refused, failed("`ts` is 10, and the event time is 11"));
    let refused = harness.send_to("paths", keyed(&good, "debtor"));
    assert_eq!(refused, failed("the key is `a`, and `creditor` is `b`"));
    let mut with_legs = good.clone();
    with_legs["legs"] = json!([]);
    let refused = harness.send_to("paths", keyed(&with_legs, "creditor"));
    assert_eq!(refused, failed("the last of `legs` is another transfer"));
    let leg = json!({"txn_id": "t", "creditor": "b", "amount_minor": 1_000, "ts": 10});
    with_legs["legs"] = json!(vec![leg; 16]);
    let refused = harness.send_to("paths", keyed(&with_legs, "creditor"));
    assert_eq!(refused, failed("a way of 16 transfers; it must have 1 to 15"));
}

#[test]
fn the_configuration_is_checked() {
    let refused = |changes: Value| {
        RoundTrips::create(Some(&config(changes).to_string()))
            .err()
            .map(|error| error.message().to_owned())
    };
    assert_eq!(refused(json!({})), None);
    for (changes, why) in [
        (json!({"window": "0s"}), "`window` is 0ns; it must be above 0 and at most 366d"),
        (json!({"tolerance_bps": 10_000}), "`tolerance_bps` is 10000; it must be 0 to 9999"),
        (json!({"min_minor": 0}), "`min_minor` is 0; it must be above 0"),
    ] {
        assert_eq!(refused(changes).as_deref(), Some(why));
    }
}
