//! What holds for all portfolios.

use std::collections::BTreeMap;

use finance::Currency;
use proptest::prelude::*;

use crate::config::Config;
use crate::lots::{Lot, Order, Sold, sell};
use crate::portfolio::{Holding, Portfolio};
use crate::rebalance::{Proposal, Valuation};

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Hifo)]
}

fn lots() -> impl Strategy<Value = Vec<Lot>> {
    let lot = (0..1_000_i64, 1..5_000_000_i64, 0..1_000_000_i64);
    let lot = lot.prop_map(|(acquired, quantity, cost)| Lot { acquired, quantity, cost });
    prop::collection::vec(lot, 0..6)
}

/// A portfolio beside its lots.
type Held = (Portfolio, BTreeMap<String, Vec<Lot>>);

fn held() -> impl Strategy<Value = Held> {
    let holdings = prop::collection::btree_map("[A-F]", (1..300_000_000_i64, lots()), 0..6);
    (-10_000..5_000_000_i64, holdings).prop_map(|(cash, holdings)| {
        let mut portfolio = Portfolio { cash, ..Portfolio::default() };
        let mut all = BTreeMap::new();
        for (instrument, (price, lots)) in holdings {
            let quantity = lots.iter().map(|lot| lot.quantity).sum();
            let cost = lots.iter().map(|lot| lot.cost).sum();
            portfolio.holdings.insert(instrument.clone(), Holding { price, quantity, cost });
            all.insert(instrument, lots);
        }
        (portfolio, all)
    })
}

fn lots_of(lots: &BTreeMap<String, Vec<Lot>>) -> impl Fn(&str) -> Vec<Lot> {
    move |instrument| lots.get(instrument).cloned().unwrap_or_default()
}

fn config() -> impl Strategy<Value = Config> {
    let weights = prop::collection::btree_map("[A-F]", 0..2_000_i64, 0..6);
    (weights, 0..50_000_i64, prop_oneof![Just(1), Just(1_000_000), Just(250_000)], order())
        .prop_map(|(targets, min_trade, step, lots)| Config {
            currency: Currency::from_code("EUR").expect("a code"),
            targets,
            band: 500,
            min_trade,
            step,
            lots,
            long_term_days: 365,
        })
}

/// The portfolio behind the proposed trades.
fn traded(
    (portfolio, lots): &Held,
    valuation: &Valuation,
    proposal: &Proposal,
    config: &Config,
) -> Portfolio {
    let mut after = portfolio.clone();
    for trade in &proposal.trades {
        let position = &valuation.positions[trade.place];
        let name = &position.instrument;
        let mut lots = lots_of(lots)(name);
        let of = (&name[..], trade.quantity.abs(), position.price);
        if trade.quantity > 0 {
            after.buy(&mut lots, of, 0, config.currency).expect("it can be bought");
        } else {
            let sold = after.sell(&mut lots, of, config.lots, config.currency);
            assert_eq!(sold.expect("it can be sold"), trade.lots);
        }
        let holding = &after.holdings[name];
        assert_eq!(holding.quantity, lots.iter().map(|lot| lot.quantity).sum::<i64>());
        assert_eq!(holding.cost, lots.iter().map(|lot| lot.cost).sum::<i64>());
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rebalancing_reduces_drift_by_what_is_traded(held in held(), config in config()) {
        let (portfolio, lots) = &held;
        let before = Valuation::of(portfolio, &config).expect("it fits");
        let proposal = Proposal::of(portfolio, lots_of(lots), &before, &config).expect("it fits");
        let after = traded(&held, &before, &proposal, &config);
        let valued = Valuation::of(&after, &config).expect("it fits");
        // Trades at the valuation's prices neither make nor lose money, but for rounding an instrument's value once.
        let instruments = before.positions.len() as i64;
        prop_assert!((valued.total - before.total).abs() <= instruments);
        prop_assert!((valued.distance() - (before.distance() - proposal.turnover())).abs() <= 3 * instruments, "{before:?} {proposal:?}");
        prop_assert!(proposal.turnover() <= before.distance() + instruments);
        prop_assert_eq!(after.cash, portfolio.cash + proposal.cash());
        prop_assert!(after.cash >= 0 || after.cash >= portfolio.cash);
        for trade in &proposal.trades {
            prop_assert!(trade.value >= config.min_trade);
            prop_assert!(trade.quantity % config.step == 0 || before.positions[trade.place].target_weight == 0);
        }
        prop_assert_eq!(after.realized, proposal.gain());
    }

    #[test]
    fn every_position_off_target_is_traded_or_named(held in held(), config in config()) {
        let (portfolio, lots) = &held;
        let valuation = Valuation::of(portfolio, &config).expect("it fits");
        prop_assume!(valuation.total > 0);
        let proposal = Proposal::of(portfolio, lots_of(lots), &valuation, &config).expect("it fits");
        let mut named: BTreeMap<usize, usize> = BTreeMap::new();
        let places = proposal.trades.iter().map(|trade| trade.place).chain(proposal.left.iter().map(|(place, _)| *place));
        places.for_each(|place| *named.entry(place).or_default() += 1);
        for (place, position) in valuation.positions.iter().enumerate() {
            let expected = (position.target != position.value).then_some(1);
            prop_assert_eq!(named.get(&place).copied(), expected);
        }
    }

    #[test]
    fn selling_loses_neither_pieces_nor_cost_nor_proceeds(lots in lots(), order in order(), share in 0..=1_000_i64, proceeds in 0..10_000_000_i64) {
        let held: i64 = lots.iter().map(|lot| lot.quantity).sum();
        let quantity = held * share / 1_000;
        prop_assume!(quantity > 0);
        let mut left = lots.clone();
        let sold = sell(&mut left, order, quantity, proceeds);
        let of_lots = |field: fn(&Lot) -> i64, lots: &[Lot]| lots.iter().map(field).sum::<i64>();
        let of_sold = |field: fn(&Sold) -> i64| sold.iter().map(field).sum::<i64>();
        prop_assert_eq!(of_sold(|part| part.quantity), quantity);
        prop_assert_eq!(of_lots(|lot| lot.quantity, &left), held - quantity);
        prop_assert_eq!(of_lots(|lot| lot.cost, &lots), of_lots(|lot| lot.cost, &left) + of_sold(|part| part.cost));
        prop_assert_eq!(of_sold(|part| part.proceeds), proceeds);
    }

    #[test]
    fn the_costliest_lots_give_the_smallest_gain(lots in lots(), share in 0..=1_000_i64) {
        let held: i64 = lots.iter().map(|lot| lot.quantity).sum();
        let quantity = held * share / 1_000;
        prop_assume!(quantity > 0);
        let gain = |order| sell(&mut lots.clone(), order, quantity, 1_000_000).iter().map(Sold::gain).sum::<i64>();
        let smallest = gain(Order::Hifo);
        // Half a cent may be lost where a lot is split.
        prop_assert!(smallest <= gain(Order::Fifo) + 1 && smallest <= gain(Order::Lifo) + 1);
    }
}
