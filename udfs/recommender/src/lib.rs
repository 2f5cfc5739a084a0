//! Recommends products to a customer from live behaviour: interests that fade with event time, products
//! seen together in a session, and a catalogue for favourite categories; never what the customer owns. Tries out products
//! of its own accord, and learns from clicks: of the customer, or in a stage before, by context, of all customers.

mod bandit;
mod config;
mod customer;
mod interests;
mod learn;
mod rank;

use millstream_udf::prelude::*;

use crate::bandit::Arm;
use crate::config::{Config, Explore, HOUR_MS, Role};
use crate::customer::Customer;
use crate::learn::{Candidate, Passed};
use crate::rank::{Reason, Recommendation, rank};

/// Bytes of a product's or category's name, at most: it keeps the state bounded.
const NAME_BYTES_MAX: usize = 128;

/// Something a customer did with a product. The key is the customer; in the role `learn` the context.
#[derive(Input)]
struct Action<'a> {
    #[field(rename = "type")]
    kind: &'a str,
    product_id: &'a str,
    category: &'a str,
    ts: i64,
    /// For the role `learn`.
    customer_id: Option<&'a str>,
    context: Option<&'a str>,
    /// What a stage of that role found, the best to try out first.
    candidates: Option<Json<Vec<Candidate>>>,
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
    actions: Emit<Passed<'static>>,
}

/// The UDF.
struct Recommender {
    config: Config,
}

#[udf(name = "recommender", version = "1.1.0", state = Customer, outputs = Out)]
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
        if self.config.role == Role::Learn {
            return self.learn(&action, customer, out, ctx.key_text()?);
        }
        let Action { kind, product_id, category, ts, .. } = action;
        let config = &self.config;
        let points = match kind {
            "view" => config.view,
            "cart" => config.cart,
            "purchase" => config.purchase,
            "click" => config.click,
            other => bail!("`{other}` is no type of action"),
        };
        is_short("product_id", product_id)?;
        is_short("category", category)?;
        if kind == "click" && action.candidates.is_none() {
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
        match (&config.explore, action.candidates) {
            (Some(_), Some(Json(candidates))) => {
                let context = action.context.unwrap_or(category);
                customer.try_out(candidates, config, context, product_id, &mut items);
            }
            (Some(explore), None) => {
                customer.explore(explore, config, category, product_id, &mut items);
            }
            (None, _) => {}
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
            items.push(explored(id, category, arm));
        }
        self.bandits.insert(category, &bandit);
    }

    /// The same with products that a stage of the role `learn` has put in order. That stage counts what was shown when it
    /// is told so.
    fn try_out(
        &self,
        candidates: Vec<Candidate>,
        config: &Config,
        context: &str,
        at_hand: &str,
        items: &mut Vec<Recommendation>,
    ) {
        for Candidate { product_id, shown, clicked } in candidates {
            if items.len() >= config.top {
                break;
            }
            let is_open = product_id != at_hand
                && items.iter().all(|item| item.product_id != product_id)
                && !self.owned.contains(&product_id)
                && !is_crowded(config, items, &product_id);
            if is_open {
                items.push(explored(&product_id, context, Arm { shown, clicked }));
            }
        }
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

/// A product that is tried out.
fn explored(product: &str, category: &str, arm: Arm) -> Recommendation {
    let Arm { shown, clicked } = arm;
    let reason = Reason::Explored { category: category.to_owned(), shown, clicked };
    Recommendation { product_id: product.to_owned(), reason, score: 0.0 }
}

/// Refuses a name that is empty or too long.
fn is_short(field: &str, name: &str) -> Result<()> {
    let bytes = name.len();
    ensure!(
        (1..=NAME_BYTES_MAX).contains(&bytes),
        "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
    );
    Ok(())
}

/// Whether there are as many products of this one's category among the items as may be.
fn is_crowded(config: &Config, items: &[Recommendation], product: &str) -> bool {
    let category = config.category(product);
    let of_category = items.iter().filter(|item| config.category(&item.product_id) == category);
    config.category_max.is_some_and(|most| category.is_some() && of_category.count() >= most)
}

#[cfg(test)]
mod tests;
