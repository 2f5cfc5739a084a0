//! Published examples, reproduced.

use finance::Currency;
use millstream_udf::{Aggregate, Result};
use serde_json::{Value, json};

use super::{price, run, trade};
use crate::backtest::zone;
use crate::book::{Book, Event, Period};
use crate::config::Shock;
use crate::tail::tail;

/// J. C. Hull, Risk Management and Financial Institutions, 3rd ed., chapter 14, tables 14.2 and 14.3: the indices' values on 25 September
/// 2008 in scenario 1, which repeats the moves of 8 August 2006. (Later rows rest on more digits than are printed.)
#[test]
fn hull_values_of_the_market_variables_in_scenarios() {
    let units = |text: &str| finance::exact::parse(text, 6).expect("a price");
    let dollar = Currency::from_code("USD").expect("a code");
    let names = ["A DJIA", "B FTSE 100", "C CAC 40", "D NIKKEI 225"];
    let history = [
        ["11219.38", "11131.84", "6373.89", "131.77"],
        ["11173.59", "11096.28", "6378.16", "134.38"],
    ];
    let last = ["11022.06", "9599.90", "6200.40", "112.82"];
    // One piece of each index at its last price.
    let mut period = Period::default();
    for (instrument, price) in names.iter().zip(last) {
        period.add(&Event { ts: 0, instrument, price: units(price), quantity: Some(1_000_000) });
    }
    let mut book = Book::default();
    book.close(period, dollar).expect("it fits");
    let values = book.values(dollar).expect("they fit");
    let [before, behind] = history;
    let scenario = {
        let moves = (0..4).map(|i| (i as u32, units(before[i]), units(behind[i]))).collect();
        let losses = book.losses(&moves, &values, Shock::Relative, dollar);
        let losses = losses.collect::<Result<Vec<_>>>().expect("they fit");
        losses
            .iter()
            .map(|(i, loss)| dollar.exact(values[*i] - loss).to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(scenario, ["10977.08", "9569.23", "6204.55", "115.05"]);
}

/// The same book, table 14.4: the losses of 500 scenarios in thousands of dollars, ranked. The one-day 99 % value at risk is the
/// fifth-worst loss, $253,385; the expected shortfall is the mean of the four worse ones, $345,630.
#[test]
fn hull_value_at_risk_and_expected_shortfall() {
    let ranked = [
        (494, 477_841),
        (339, 345_435),
        (349, 282_204),
        (329, 277_041),
        (487, 253_385),
        (227, 217_974),
        (131, 205_256),
        (238, 201_389),
        (473, 191_269),
        (306, 191_050),
        (477, 185_127),
        (495, 184_450),
        (376, 182_707),
        (237, 180_105),
        (365, 172_224),
    ];
    // Of the others the table says only that they are smaller.
    let mut losses = vec![0_i64; 500];
    for (scenario, loss) in ranked {
        losses[scenario - 1] = loss * 100;
    }
    let found = tail(&losses, 9_900);
    assert_eq!((found.value_at_risk, found.scenario), (25_338_500, 486));
    assert_eq!(found.expected_shortfall, 34_563_025, "$345,630 to the dollar");
}

/// Basel Committee, Supervisory framework for the use of "backtesting", January 1996, table 2.
#[test]
fn basel_zones() {
    let table: Vec<String> =
        (0..=11).map(|count| format!("{} {}", zone(count).name, zone(count).plus)).collect();
    let expected = [
        "green 0.00",
        "green 0.00",
        "green 0.00",
        "green 0.00",
        "green 0.00",
        "yellow 0.40",
        "yellow 0.50",
        "yellow 0.65",
        "yellow 0.75",
        "yellow 0.85",
        "red 1.00",
        "red 1.00",
    ];
    assert_eq!(table, expected);
}

/// The zone is given once there are 250 reports to count in.
#[test]
fn a_zone_needs_a_year() {
    let mut records = vec![trade(0, "A", "1000", "100")];
    // Every fiftieth day is worse than any before.
    let prices = (0..260_i64).map(|day| if day % 50 == 49 { 90 - day / 50 * 5 } else { 100 });
    records.extend(prices.enumerate().map(|(day, at)| price(day as i64, "A", &at.to_string())));
    let (risk, _) = run(json!({"currency": "USD"}), records);
    let zones: Vec<&Value> = risk.iter().map(|report| &report["zone"]).collect();
    assert_eq!((zones[249], zones[250]), (&Value::Null, &json!("yellow")));
}
