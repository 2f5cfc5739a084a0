//! The role `learn`: a stage by context, in front of the one by customer, that learns from what all customers were shown and clicked on. It puts
//! the products to try out in order, and passes actions on with them.

use millstream_udf::prelude::*;

use crate::bandit::Arm;
use crate::customer::{Customer, shown_to};
use crate::{Action, Out, Recommender, is_short};

/// A product to try out, and how often it was shown in the context and clicked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub product_id: String,
    pub shown: u32,
    pub clicked: u32,
}

/// An action with what to try out, for the stage by customer.
#[derive(Output)]
pub struct Passed<'a> {
    #[field(rename = "type")]
    kind: &'a str,
    customer_id: &'a str,
    product_id: &'a str,
    category: &'a str,
    context: &'a str,
    ts: i64,
    /// The one to show next first.
    candidates: Json<Vec<Candidate>>,
}

impl Recommender {
    /// Counts an impression or a click in the context, and passes everything but impressions on.
    pub(crate) fn learn(
        &self,
        action: &Action<'_>,
        state: &mut Customer,
        out: &mut Out,
        context: &str,
    ) -> Result<()> {
        let Action { kind, product_id, category, ts, .. } = *action;
        let Some(customer_id) = action.customer_id else {
            bail!("`role: learn` needs the record's `customer_id`");
        };
        for (field, name) in [
            ("product_id", product_id),
            ("category", category),
            ("customer_id", customer_id),
            ("context", context),
        ] {
            is_short(field, name)?;
        }
        let given = action.context.unwrap_or(category);
        ensure!(given == context, "the key is `{context}`, and the context is `{given}`");
        let products = self.config.explore.as_ref().map_or(&[][..], |explore| &explore.products);
        let mut bandit = state.bandits.get(context).unwrap_or_default();
        bandit.retain(|id| products.iter().any(|product| product == id));
        let entry = shown_to(product_id, customer_id);
        match kind {
            "impression" if products.iter().any(|product| product == product_id) => {
                bandit.show(product_id);
                state.tried.insert(&entry, &String::new());
            }
            "click" if state.tried.contains(&entry) => {
                bandit.click(product_id);
                state.tried.remove(&entry);
            }
            "impression" | "click" | "view" | "cart" | "purchase" => {}
            other => bail!("`{other}` is no type of action"),
        }
        if kind != "impression" {
            let ranked = bandit.ranked(products.iter().map(|id| &id[..])).into_iter();
            let candidates = ranked.map(|(id, Arm { shown, clicked })| Candidate {
                product_id: id.to_owned(),
                shown,
                clicked,
            });
            let candidates = Json(candidates.collect());
            out.actions.emit(Passed {
                kind,
                customer_id,
                product_id,
                category,
                context,
                ts,
                candidates,
            });
        }
        state.bandits.insert(context, &bandit);
        Ok(())
    }
}
