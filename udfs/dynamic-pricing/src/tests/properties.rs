//! What holds for all quotes.

use proptest::prelude::*;
use serde_json::json;

use super::checked;
use crate::config::Config;
use crate::quote::{Market, Product, Side};

fn product() -> impl Strategy<Value = Product> {
    (1..1_000_000_000_i64, 0..1_000_000_i64, 0..10_000_000_000_000_i64, -50_000_000..50_000_000_i64)
        .prop_map(|(bid, spread, variance, inventory)| Product {
            market: Some(Market { bid, ask: bid + spread, ts: 0 }),
            variance: Some(variance.into()),
            inventory,
        })
}

fn configured(tick: i64, deviation: i64) -> Config {
    let mut config = checked(json!({"sizes": [{"from": 5, "margin": 0.001}]}));
    (config.tick, config.max_deviation) = (tick, deviation);
    config
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_add_up_and_prices_stay_within_bounds(product in product(), tick in 1..100_000_i64, deviation in 0..1_000_000_i64, quantity in 1..10_000_000_i64, margin in 0..50_000_i64, buys in any::<bool>()) {
        let config = configured(tick, deviation);
        let side = if buys { Side::Buy } else { Side::Sell };
        match product.quote(side, quantity, margin, 0, &config) {
            Ok(quote) => {
                prop_assert_eq!(quote.mid + quote.parts.iter().map(|(_, part)| part).sum::<i64>(), quote.price);
                prop_assert_eq!(quote.price % tick, 0);
                prop_assert!(quote.price > 0);
                let room = i128::from(quote.mid) * i128::from(deviation) / 1_000_000 + 1;
                prop_assert!(i128::from((quote.price - quote.mid).abs()) <= room);
            }
            Err(reason) => prop_assert_eq!(reason, "no_price_within_bounds"),
        }
    }

    #[test]
    fn we_never_buy_above_what_we_sell_for(product in product(), margin in 0..50_000_i64) {
        let config = configured(1, 900_000);
        let price = |side| product.quote(side, 1_000_000, margin, 0, &config).expect("a price").price;
        prop_assert!(price(Side::Sell) <= price(Side::Buy));
    }

    #[test]
    fn more_inventory_never_raises_a_price_and_more_volatility_never_narrows_the_spread(product in product(), more in 0..50_000_000_i64, shakier in 0..1_000_000_000_000_i64) {
        // Without bounds in the way: they cut what is far from the mid price.
        let mut config = configured(1, 1_000_000);
        config.risk_aversion = 1_000;
        let price = |product: &Product, side| product.quote(side, 1_000_000, 0, 0, &config).expect("a price").price;
        let fuller = Product { inventory: product.inventory + more, ..product.clone() };
        for side in [Side::Buy, Side::Sell] {
            prop_assert!(price(&fuller, side) <= price(&product, side));
        }
        let flat = Product { inventory: 0, ..product };
        let wilder = Product { variance: flat.variance.map(|variance| variance + i128::from(shakier)), ..flat.clone() };
        let spread = |product: &Product| price(product, Side::Buy) - price(product, Side::Sell);
        prop_assert!(spread(&wilder) >= spread(&flat));
    }
}
