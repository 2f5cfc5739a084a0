//! Random events of an account against the rules followed straight: a list of resets, each with the devices and payees behind it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{HOUR_MS, found_with};

/// What the events of the types below are; devices and payees have numbers.
const KINDS: [&str; 5] =
    ["password_reset", "device_added", "payee_added", "identity_verified", "transfer"];

/// How often each kind comes: resets and devices enough for several to be watched at once.
const OFTEN: [usize; 9] = [0, 0, 1, 1, 2, 2, 3, 4, 4];

/// A reset that is watched.
struct Watched {
    at: i64,
    /// Devices with the payees that were added behind each.
    devices: Vec<(u8, Vec<u8>)>,
}

impl Watched {
    /// As what is reported of it when its time is over, if there is anything.
    fn near_miss(&self, changed_payee: bool) -> Option<Value> {
        let (device, payees) = self.devices.first()?;
        let reason = match payees.is_empty() && changed_payee {
            true => "no_changed_payee",
            false => "no_large_transfer",
        };
        Some(json!(["near_miss", self.at, format!("d{device}"), reason]))
    }
}

/// What the rules say of events in the order of time: kind, device, payee, time.
fn model(events: &[(usize, u8, u8, i64)], changed_payee: bool) -> Vec<Value> {
    let mut open: Vec<Watched> = Vec::new();
    let mut told = Vec::new();
    for (kind, device, payee, ts) in events {
        let (over, going): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|reset| ts - reset.at >= HOUR_MS);
        told.extend(over.iter().filter_map(|reset| reset.near_miss(changed_payee)));
        open = going;
        match KINDS[*kind] {
            "password_reset" => open.push(Watched { at: *ts, devices: Vec::new() }),
            "device_added" => {
                open.iter_mut().for_each(|reset| reset.devices.push((*device, Vec::new())))
            }
            "payee_added" => {
                let devices = open.iter_mut().flat_map(|reset| &mut reset.devices);
                devices.for_each(|(_, payees)| payees.push(*payee));
            }
            "identity_verified" => open.clear(),
            _ => {
                let fits = |(added, payees): &(u8, Vec<u8>)| {
                    added == device && (!changed_payee || payees.contains(payee))
                };
                let Some(reset) = open.iter().find(|reset| reset.devices.iter().any(fits)) else {
                    continue;
                };
                told.push(json!(["takeover", reset.at, format!("d{device}"), ts]));
                open.clear();
            }
        }
    }
    told.extend(open.iter().filter_map(|reset| reset.near_miss(changed_payee)));
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_the_rules_say(
        steps in prop::collection::vec((prop::sample::select(&OFTEN[..]), 0..2_u8, 0..2_u8, 1..16 * 60_000_i64), 1..30),
        changed_payee in any::<bool>(),
    ) {
        let mut ts = 0;
        let steps: Vec<_> = steps.into_iter().map(|(kind, device, payee, later)| {
            ts += later;
            (kind, device, payee, ts)
        }).collect();
        let events: Vec<(String, i64)> = steps.iter().map(|(kind, device, payee, ts)| {
            let what = match KINDS[*kind] {
                "device_added" => format!("device_added d{device}"),
                "payee_added" => format!("payee_added p{payee}"),
                "transfer" => format!("transfer d{device} 500000 p{payee}"),
                kind => kind.to_owned(),
            };
            (what, *ts)
        }).collect();
        let events: Vec<(&str, i64)> = events.iter().map(|(what, ts)| (&**what, *ts)).collect();
        let brief = |item: &Value| {
            let last = if item["type"] == "takeover" { &item["transfer_ts"] } else { &item["reason"] };
            json!([item["type"], item["reset_ts"], item["device"], last])
        };
        let found = found_with(json!({"changed_payee": changed_payee}), &events);
        let mut found: Vec<String> = found.iter().map(|item| brief(item).to_string()).collect();
        let mut expected: Vec<String> = model(&steps, changed_payee).iter().map(Value::to_string).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
