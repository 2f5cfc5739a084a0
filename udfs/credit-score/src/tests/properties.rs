//! What holds for all sequences of events.

use finance::{Currency, Money};
use proptest::prelude::*;

use crate::config::{Config, DAY_MS};
use crate::file::{CreditFile, Event};

fn event() -> impl Strategy<Value = Event> {
    let money = || (1..10_000_000_i64).prop_map(|minor| Money::new(minor, Currency::EUR));
    prop_oneof![
        (money(), money()).prop_map(|(amount, due)| Event::Repayment { amount, due }),
        (money(), money()).prop_map(|(balance, limit)| Event::Utilisation { balance, limit }),
        (1..200_i64).prop_map(|days_late| Event::MissedPayment { days_late }),
        Just(Event::Enquiry),
    ]
}

fn history() -> impl Strategy<Value = Vec<(i64, Event)>> {
    prop::collection::vec((0..2_000 * DAY_MS, event()), 1..40)
}

fn file(history: &[(i64, Event)]) -> CreditFile {
    let mut file = CreditFile::default();
    for (ts, event) in history {
        file.apply(*event, *ts, &Config::default()).expect("the events make sense");
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scores_stay_in_range_and_the_reasons_add_up(history in history()) {
        let config = Config::default();
        let assessment = file(&history).assess(&config);
        prop_assert!((config.floor..=config.ceiling).contains(&assessment.score));
        let sum: i64 = config.base + assessment.reasons.iter().map(|reason| reason.points).sum::<i64>();
        // Each of four effects is rounded to whole points for display, and the sum once.
        prop_assert!((sum - assessment.score).abs() <= 5, "{assessment:?}");
    }

    /// The order of arrival matters by rounding only, as long as repayments stay below their cap.
    #[test]
    fn late_events_count_as_if_in_time(mut history in history()) {
        let config = Config { repayment_max: 100_000, ..Config::default() };
        let assess = |history: &[(i64, Event)]| {
            let mut file = CreditFile::default();
            history.iter().for_each(|(ts, event)| file.apply(*event, *ts, &config).expect("the events make sense"));
            (file.repaid_milli, file.missed_milli, file.enquired_milli)
        };
        let arrived = assess(&history);
        history.sort_by_key(|(ts, _)| *ts);
        let sorted = assess(&history);
        for (a, b) in [(arrived.0, sorted.0), (arrived.1, sorted.1), (arrived.2, sorted.2)] {
            prop_assert!((a - b).abs() <= 80, "{a} and {b} thousandths");
        }
    }

    #[test]
    fn time_alone_only_heals(history in history(), days in 1..1_000_i64) {
        let config = Config { repayment: 0, ..Config::default() };
        let mut file = CreditFile::default();
        for (ts, event) in &history {
            file.apply(*event, *ts, &config).expect("the events make sense");
        }
        let before = file.assess(&config).score;
        file.advance(file.as_of_ms.expect("there were events") + days * DAY_MS, &config);
        prop_assert!(file.assess(&config).score >= before);
    }
}
