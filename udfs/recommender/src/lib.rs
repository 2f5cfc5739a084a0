//! Recommends products to a customer from live behaviour: interests that fade with event time, products
//! seen together in a session, and a catalogue for favourite categories; never what the customer owns.

mod config;
mod customer;
mod interests;
mod rank;

use millstream_udf::prelude::*;

use crate::config::{Config, HOUR_MS};
use crate::customer::Customer;
use crate::rank::{Recommendation, rank};

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
            other => bail!("`{other}` is no type of action"),
        };
        for (field, name) in [("product_id", product_id), ("category", category)] {
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&name.len()),
                "`{field}` has {} bytes; it must have 1 to {NAME_BYTES_MAX}",
                name.len()
            );
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
        let items = rank(behaviour, &together, product_id, ts, config, |product| {
            customer.owned.contains(product)
        });
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

#[cfg(test)]
mod tests;
