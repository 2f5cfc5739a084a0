//! The stage's `config`.

use millstream_udf::prelude::*;

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// A setting's largest weight.
const WEIGHT_MAX: i64 = 1_000;
/// Products to try out, at most: all are compared for each recommendation.
const EXPLORED_MAX: usize = 64;
/// Entries of the catalogue, at most.
const CATALOGUE_MAX: usize = 1_000;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the stage does.
    pub role: Role,
    /// How many products are recommended, 1 to 20.
    pub top: usize,
    /// What a view, a product put in the cart, and a purchase say about interest.
    pub view: i64,
    pub cart: i64,
    pub purchase: i64,
    /// What a click on a recommendation says.
    pub click: i64,
    /// What it counts that a product was looked at together with the one at hand.
    pub together: i64,
    /// Half-life of interest in a product.
    pub product_half_life_hours: i64,
    /// Half-life of interest in a category, and of products seen together.
    pub category_half_life_hours: i64,
    /// Two products of one customer were looked at together if no more than so long lies between.
    pub session_minutes: i64,
    /// Products worth recommending to whoever likes their category: the customer need not have seen them.
    pub catalogue: Vec<Listed>,
    /// Of the products of one category, as far as the catalogue knows it, no more than so many are recommended at a time.
    pub category_max: Option<usize>,
    /// Products to try out.
    pub explore: Option<Explore>,
}

/// What a stage does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Recommends products to the customer, who is the key.
    #[default]
    Recommend,
    /// Learns from all customers what to try out in a context, which is the key, and passes actions on with it.
    Learn,
}

/// What is tried out on customers, besides what they are known to like.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explore {
    /// Places of the recommendation that are kept for it. Places that nothing else fills are added.
    pub slots: usize,
    /// Products of the catalogue to try out.
    pub products: Vec<String>,
}

/// A product of the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub product_id: String,
    pub category: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::Recommend,
            top: 5,
            view: 1,
            cart: 3,
            purchase: 5,
            click: 2,
            together: 2,
            product_half_life_hours: 72,
            category_half_life_hours: 24 * 30,
            session_minutes: 30,
            catalogue: Vec::new(),
            category_max: None,
            explore: None,
        }
    }
}

impl Config {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Self> {
        ensure!((1..=20).contains(&self.top), "`top` is {}; it must be 1 to 20", self.top);
        for (name, weight) in [
            ("view", self.view),
            ("cart", self.cart),
            ("purchase", self.purchase),
            ("click", self.click),
            ("together", self.together),
        ] {
            ensure!(
                (0..=WEIGHT_MAX).contains(&weight),
                "`{name}` is {weight}; it must be 0 to {WEIGHT_MAX}"
            );
        }
        for (name, hours) in [
            ("product_half_life_hours", self.product_half_life_hours),
            ("category_half_life_hours", self.category_half_life_hours),
        ] {
            ensure!(
                (1..=24 * 3_650).contains(&hours),
                "`{name}` is {hours}; it must be 1 to 87600"
            );
        }
        ensure!(
            (1..=1_440).contains(&self.session_minutes),
            "`session_minutes` is {}; it must be 1 to 1440",
            self.session_minutes
        );
        let listed = self.catalogue.len();
        ensure!(
            listed <= CATALOGUE_MAX,
            "`catalogue` has {listed} entries; it must have {CATALOGUE_MAX} or less"
        );
        ensure!(
            self.role == Role::Recommend || self.explore.is_some(),
            "`role: learn` needs `explore`: the products to try out"
        );
        ensure!(self.category_max != Some(0), "`category_max` is 0; it must be 1 or more");
        if let Some(Explore { slots, products }) = &self.explore {
            ensure!(
                (1..=self.top).contains(slots),
                "`explore.slots` is {slots}; it must be 1 to `top`, which is {}",
                self.top
            );
            let count = products.len();
            ensure!(
                (1..=EXPLORED_MAX).contains(&count),
                "`explore.products` has {count} entries; it must have 1 to {EXPLORED_MAX}"
            );
            for id in products {
                let listed = self.catalogue.iter().any(|listed| listed.product_id == *id);
                ensure!(listed, "`{id}` is to be tried out, and is not in the catalogue");
            }
        }
        Ok(self)
    }

    /// The category of a product, if the catalogue has it.
    pub fn category(&self, product: &str) -> Option<&str> {
        let listed = self.catalogue.iter().find(|listed| listed.product_id == product);
        listed.map(|listed| &listed.category[..])
    }
}
