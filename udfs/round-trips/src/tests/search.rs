//! All circles of random transfers against a search through every sequence of them.

use proptest::prelude::*;
use serde_json::json;

use super::{circles, config, texts, transfer};

const WINDOW_MS: i64 = 400;
const LEGS_MAX: usize = 4;

/// Debtor, creditor, amount, time.
type Step = (usize, usize, i64, i64);

/// Goes on with every transfer that may follow; gives what closes as the numbers of its transfers.
fn search(steps: &[Step], way: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let (first, last) = (steps[way[0]], steps[way[way.len() - 1]]);
    for (i, step) in steps.iter().enumerate() {
        let (debtor, creditor, amount, ts) = *step;
        let is_next = debtor == last.1 && ts > last.3 && ts <= first.3 + WINDOW_MS;
        let is_near = (amount - first.2).abs() * 10 <= first.2;
        let touched = way.iter().any(|leg| steps[*leg].1 == creditor);
        if !is_next || !is_near || touched || way.len() == LEGS_MAX {
            continue;
        }
        way.push(i);
        match creditor == first.0 {
            true => found.push(way.clone()),
            false => search(steps, way, found),
        }
        way.pop();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// Whatever the order of arrival and the batches; what comes back is near what was sent, and time goes forward.
    #[test]
    fn finds_what_a_search_finds(
        steps in prop::collection::vec((0..4_usize, 1..4_usize, 90..120_i64, 1..800_i64), 1..40),
        order in any::<u64>(),
        batch in 1..40_usize,
    ) {
        let steps: Vec<Step> = steps.into_iter().map(|(debtor, by, amount, ts)| (debtor, (debtor + by) % 4, 10 * amount, ts)).collect();
        let mut expected = Vec::new();
        for i in 0..steps.len() {
            search(&steps, &mut vec![i], &mut expected);
        }
        let mut expected: Vec<Vec<String>> = expected.iter().map(|way| way.iter().map(|i| format!("t{i}")).collect()).collect();
        expected.sort();
        let mut transfers: Vec<_> = steps.iter().enumerate().map(|(i, (debtor, creditor, amount, ts))| {
            transfer(&format!("t{i}"), *ts, &format!("a{debtor}"), &format!("a{creditor}"), *amount)
        }).collect();
        let shift = order as usize % transfers.len();
        transfers.rotate_left(shift);
        let config = config(json!({"window": "400ms"}));
        let circles = circles(&config, &transfers, LEGS_MAX, batch);
        for circle in &circles {
            let (sent, returned) = (circle["sent_minor"].as_i64().expect("minor units"), circle["returned_minor"].as_i64().expect("minor units"));
            prop_assert!((sent - returned).abs() * 10 <= sent);
            prop_assert!(circle["ts"].as_i64() > circle["began_ts"].as_i64());
            let accounts = texts(&circle["accounts"]);
            prop_assert_eq!(accounts.first(), accounts.last());
            prop_assert_eq!(accounts.len(), texts(&circle["txn_ids"]).len() + 1);
        }
        let mut found: Vec<Vec<String>> = circles.iter().map(|circle| texts(&circle["txn_ids"]).into_iter().map(str::to_owned).collect()).collect();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}
