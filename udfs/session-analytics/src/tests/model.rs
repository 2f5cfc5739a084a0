//! Sessions of random events in random disorder and batches, against sorting all events and cutting at pauses.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MINUTE, harness};

const KINDS: [&str; 5] = ["login", "view", "add_payee", "confirm", "help"];
const GAP: i64 = 10 * MINUTE;

/// Customer, kind, page, device, time, and how much later it comes.
type Step = (usize, usize, Option<u8>, u8, i64, i64);

/// The sessions of one customer, from its events in the order of time and number.
fn model(events: &[(usize, &Step)]) -> Vec<Value> {
    let mut sessions: Vec<Vec<&Step>> = Vec::new();
    for (_, event) in events {
        match sessions.last_mut() {
            Some(session) if session.last().is_some_and(|last| event.4 - last.4 <= GAP) => {
                session.push(event)
            }
            _ => sessions.push(vec![event]),
        }
    }
    let describe = |session: &Vec<&Step>| {
        let (start, end) = (session[0].4, session[session.len() - 1].4);
        // The longest prefix of the funnel that is a subsequence, found from every possible place.
        let kinds: Vec<usize> = session.iter().map(|event| event.1).collect();
        let reached = (0..=4)
            .rev()
            .find(|steps| holds(&kinds, &(0..*steps).collect::<Vec<_>>()))
            .unwrap_or(0);
        let pages: BTreeSet<u8> = session.iter().filter_map(|event| event.2).collect();
        let devices: BTreeSet<u8> = session.iter().map(|event| event.3).collect();
        let changes = (1..session.len()).filter(|i| session[*i].3 != session[*i - 1].3).count();
        let bounced = reached < 4 && pages.len() < 2 && end - start < 10_000;
        json!([
            start,
            end - start,
            session.len(),
            pages.len(),
            reached,
            reached == 4,
            bounced,
            devices.len(),
            changes
        ])
    };
    sessions.iter().map(describe).collect()
}

/// Whether the steps occur in this order.
fn holds(kinds: &[usize], steps: &[usize]) -> bool {
    let Some((step, later)) = steps.split_first() else { return true };
    (0..kinds.len()).any(|i| kinds[i] == *step && holds(&kinds[i + 1..], later))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn equals_sorting_and_cutting(
        steps in prop::collection::vec(
            (0..2_usize, 0..5_usize, prop::option::of(0..3_u8), 0..2_u8, 0..100 * MINUTE, 0..5 * MINUTE),
            1..60,
        ),
        batch in 1..40_usize,
    ) {
        let mut steps: Vec<Step> = steps;
        steps.sort_by_key(|step| step.4 + step.5);
        let mut app = harness(json!({"gap": "10m"})).with_bound(5 * MINUTE).batches_of(batch);
        let records = steps.iter().enumerate().map(|(i, (customer, kind, page, device, ts, _))| json!({
            "customer_id": format!("c{customer}"), "event_id": format!("e{i:03}"), "type": KINDS[*kind],
            "page": page.map(|page| format!("p{page}")), "device": format!("d{device}"), "ts": ts,
        }));
        prop_assert_eq!(app.send_all(records.collect::<Vec<_>>()), []);
        app.end_of_input();
        prop_assert_eq!(app.pending_timers(), []);
        prop_assert_eq!(app.take("late").len(), 0);
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let sessions = app.take("session");
        for s in &sessions {
            let steps = s["funnel"].as_array().map_or(0, Vec::len);
            found.entry(s["customer_id"].as_str().expect("a customer").to_owned()).or_default().push(json!([
                s["start"], s["duration_ms"], s["events"], s["pages"], steps, s["converted"], s["bounced"], s["devices"], s["device_changes"],
            ]));
        }
        let mut expected = BTreeMap::new();
        for customer in 0..2 {
            let mut events: Vec<(usize, &Step)> = steps.iter().enumerate().filter(|(_, step)| step.0 == customer).collect();
            events.sort_by_key(|(i, step)| (step.4, *i));
            if !events.is_empty() {
                expected.insert(format!("c{customer}"), model(&events));
            }
        }
        prop_assert_eq!(found, expected);
        let abandoned = sessions.iter().filter(|s| s["reason"] == "abandoned").count();
        prop_assert_eq!(app.take("abandoned").len(), abandoned);
    }
}
