//! Recommends products to a customer from live behaviour: interests that fade with event time, products
//! seen together in a session, and a catalogue for favourite categories; never what the customer owns. Tries out products
//! of its own accord, and learns from clicks.

mod bandit;
mod config;
mod customer;
mod interests;
mod rank;

use millstream_udf::prelude::*;

use crate::config::{Config, Explore, HOUR_MS};
use crate::customer::Customer;
use crate::rank::{Reason, Recommendation, rank};

/// Bytes of a product's or category's name, at most: it keeps the state bounded.
const NAME_BYTES_MAX: usize = 128;

/// Something a customer did with a product. The key is the customer.
#[derive(Input)]
struct Action<'a> {
    #[field(rename = "type")]
    kind: &'a str,
    product_id: &'a str,
    category: &'a str,
    ts: i64,
}

/// What to show the customer now.
#[derive(Output)]
#[output(tag = "type", value = "recommendation")]
struct Recommended<'a> {
    customer_id: &'a str,
    ts: i64,
    /// The product that the customer has just dealt with.
    product_id: &'a str,
    items: Json<Vec<Recommendation>>,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    recommendation: Emit<Recommended<'static>>,
}

/// The UDF.
struct Recommender {
    config: Config,
}

#[udf(name = "recommender", version = "1.0.0", state = Customer, outputs = Out)]
impl Recommender {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        action: Action<'_>,
        customer: &mut Customer,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Action { kind, product_id, category, ts } = action;
        let config = &self.config;
        let points = match kind {
            "view" => config.view,
            "cart" => config.cart,
            "purchase" => config.purchase,
            "click" => config.click,
            other => bail!("`{other}` is no type of action"),
        };
        for (field, name) in [("product_id", product_id), ("category", category)] {
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&name.len()),
                "`{field}` has {} bytes; it must have 1 to {NAME_BYTES_MAX}",
                name.len()
            );
        }
        if kind == "click" {
            customer.learn(product_id);
        }
        let product_half_life_ms = config.product_half_life_hours * HOUR_MS;
        let category_half_life_ms = config.category_half_life_hours * HOUR_MS;

        let behaviour = customer.behaviour.get_or_default();
        behaviour.categories.add(category, points, ts, category_half_life_ms);
        let session = behaviour.join_session(product_id, ts, config.session_minutes * 60_000);
        if kind == "purchase" {
            // What is owned needs no points: it makes room for what is not.
            behaviour.products.remove(product_id);
            customer.owned.insert(product_id, &());
        } else if !customer.owned.contains(product_id) {
            behaviour.products.add(product_id, points, ts, product_half_life_ms);
        }
        for other in &session {
            customer.pair(product_id, other, ts, category_half_life_ms);
        }

        let together = customer.companions(product_id, ts, category_half_life_ms);
        let behaviour = customer.behaviour.get_or_default();
        let kept = config.explore.as_ref().map_or(0, |explore| explore.slots);
        let mut items =
            rank(behaviour, &together, product_id, ts, config, config.top - kept, |product| {
                customer.owned.contains(product)
            });
        if let Some(explore) = &config.explore {
            customer.explore(explore, config, category, product_id, &mut items);
        }
        if !items.is_empty() {
            out.recommendation.emit(Recommended {
                customer_id: ctx.key_text()?,
                ts,
                product_id,
                items: Json(items),
            });
        }
        Ok(())
    }
}

impl Customer {
    /// Fills the places that are left with products to try out; what is shown is counted.
    fn explore(
        &mut self,
        explore: &Explore,
        config: &Config,
        category: &str,
        at_hand: &str,
        items: &mut Vec<Recommendation>,
    ) {
        let mut bandit = self.bandits.get(category).unwrap_or_default();
        bandit.retain(|id| explore.products.iter().any(|product| product == id));
        let mut open: Vec<&str> = explore.products.iter().map(|id| &id[..]).collect();
        open.retain(|id| {
            *id != at_hand
                && items.iter().all(|item| item.product_id != *id)
                && !self.owned.contains(id)
        });
        while items.len() < config.top
            && let Some((id, arm)) = bandit.choose(open.iter().copied())
        {
            open.retain(|other| *other != id);
            if is_crowded(config, items, id) {
                continue;
            }
            bandit.show(id);
            self.tried.insert(id, &category.to_owned());
            items.push(Recommendation {
                product_id: id.to_owned(),
                reason: Reason::Explored {
                    category: category.to_owned(),
                    shown: arm.shown,
                    clicked: arm.clicked,
                },
                score: 0.0,
            });
        }
        self.bandits.insert(category, &bandit);
    }

    /// A click on a product that was tried out counts for the category that it was shown with, once.
    fn learn(&mut self, product: &str) {
        let Some(category) = self.tried.get(product) else { return };
        self.tried.remove(product);
        if let Some(mut bandit) = self.bandits.get(&category) {
            bandit.click(product);
            self.bandits.insert(&category, &bandit);
        }
    }
}

/// Whether there are as many products of this one's category among the items as may be.
fn is_crowded(config: &Config, items: &[Recommendation], product: &str) -> bool {
    let category = config.category(product);
    let of_category = items.iter().filter(|item| config.category(&item.product_id) == category);
    config.category_max.is_some_and(|most| category.is_some() && of_category.count() >= most)
}

#[cfg(test)]
mod tests;
