//! Scores card transactions: velocity by card, merchant and device, impossible travel, merchant risk, combined into points by configuration. One module,
//! two kinds of stage: one counts by merchant, or device, and passes transactions on; the last counts by card and scores.

mod config;
mod travel;
mod velocity;

use std::collections::BTreeMap;

use finance::{Exact, Money, Rounding, mul_div};
use millstream_udf::prelude::*;

use crate::config::{Config, Role, SCORE_MAX};
use crate::travel::{Place, distance_m, speed_milli};
use crate::velocity::{Reading, Velocity};

/// A card transaction. The key is what is counted by: merchant, device, or card.
#[derive(Input)]
struct Transaction<'a> {
    id: &'a str,
    ts: i64,
    card_id: &'a str,
    merchant_id: &'a str,
    device_id: Option<&'a str>,
    category: Option<&'a str>,
    /// No more digits than the currency has.
    amount: Decimal<4>,
    currency: Option<&'a str>,
    /// Degrees, of a transaction with the card present.
    latitude: Option<Decimal<6>>,
    longitude: Option<Decimal<6>>,
    /// What earlier stages counted, by their names.
    velocities: Option<Json<BTreeMap<String, Reading>>>,
}

/// The same transaction, with one more velocity.
#[derive(Output)]
struct Passed<'a> {
    id: &'a str,
    ts: i64,
    card_id: &'a str,
    merchant_id: &'a str,
    device_id: Option<&'a str>,
    category: Option<&'a str>,
    amount: Json<Exact>,
    currency: &'a str,
    latitude: Option<Decimal<6>>,
    longitude: Option<Decimal<6>>,
    velocities: Json<BTreeMap<String, Reading>>,
}

/// A score and what made it.
#[derive(Output)]
#[output(tag = "type", value = "card_score")]
struct Score<'a> {
    id: &'a str,
    ts: i64,
    card_id: &'a str,
    merchant_id: &'a str,
    amount: Json<Exact>,
    currency: &'a str,
    /// 0 to 1000.
    score: i64,
    /// `approve`, `review` or `decline`.
    decision: &'a str,
    reasons: Json<Vec<Reason>>,
}

/// Points and why.
#[derive(Serialize)]
struct Reason {
    code: String,
    points: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Exact>,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    transactions: Emit<Passed<'static>>,
    scores: Emit<Score<'static>>,
}

/// What is kept of a key.
#[derive(States)]
struct Kept {
    velocity: Value<Velocity>,
    /// Where the card was last.
    place: Value<Place>,
}

/// The UDF.
struct CardScore {
    config: Config,
}

#[udf(name = "card-score", version = "1.1.0", state = Kept, outputs = Out)]
impl CardScore {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(&self, txn: Transaction<'_>, kept: &mut Kept, out: &mut Out) -> Result<()> {
        let units = txn.amount.units();
        let money = Money::stated(units, 4, txn.currency, self.config.currency)?;
        ensure!(money.minor >= 0, "an amount of {money}");
        let place = txn.place()?;
        let reading = kept.velocity.get_or_default().add(
            txn.card_id,
            money.minor,
            txn.ts,
            self.config.half_life_ms(),
        );
        let mut velocities = txn.velocities.unwrap_or_default().0;
        let Transaction { id, ts, card_id, merchant_id, device_id, category, .. } = txn;
        let (amount, currency) = (Json(money.exact()), money.currency.code());
        if let Role::Velocity(name) = &self.config.role {
            velocities.insert(name.clone(), reading);
            let (latitude, longitude, velocities) = (txn.latitude, txn.longitude, Json(velocities));
            out.transactions.emit(Passed {
                id,
                ts,
                card_id,
                merchant_id,
                device_id,
                category,
                amount,
                currency,
                latitude,
                longitude,
                velocities,
            });
            return Ok(());
        }
        velocities.insert("card".into(), reading);
        let mut reasons = self.signals(money, &velocities);
        reasons.extend(place.and_then(|place| self.travel(place, kept)));
        let risk = |code: &str, points: Option<&i64>| {
            points.map(|points| Reason { code: code.into(), points: *points, value: None })
        };
        reasons.extend(risk("merchant", self.config.merchants.get(merchant_id)));
        reasons
            .extend(risk("category", category.and_then(|code| self.config.categories.get(code))));
        reasons.retain(|reason| reason.points > 0);
        reasons.sort_by(|a, b| b.points.cmp(&a.points).then_with(|| a.code.cmp(&b.code)));
        let sum: i64 = reasons.iter().map(|reason| reason.points).sum();
        let score = sum.min(SCORE_MAX);
        if score < sum {
            reasons.push(Reason { code: "at_maximum".into(), points: score - sum, value: None });
        }
        let decision = if score >= self.config.decline {
            "decline"
        } else if score >= self.config.review {
            "review"
        } else {
            "approve"
        };
        let reasons = Json(reasons);
        out.scores.emit(Score {
            id,
            ts,
            card_id,
            merchant_id,
            amount,
            currency,
            score,
            decision,
            reasons,
        });
        Ok(())
    }
}

impl CardScore {
    /// Points of the amount and of all velocities.
    fn signals(&self, amount: Money, velocities: &BTreeMap<String, Reading>) -> Vec<Reason> {
        // Thousandths of a major unit, as far as 64 bits go.
        let per_major = amount.currency.minor_per_major();
        let milli = |minor: i64| {
            mul_div(minor.into(), 1_000, per_major.into(), Rounding::Down).unwrap_or(i64::MAX)
        };
        let mut values = vec![("amount".to_owned(), milli(amount.minor))];
        for (name, reading) in velocities {
            values.push((format!("{name}_count"), reading.count_milli));
            values.push((format!("{name}_amount"), milli(reading.amount_minor)));
            values.push((format!("{name}_cards"), reading.cards.saturating_mul(1_000)));
        }
        values.into_iter().filter_map(|(code, milli)| self.reason(code, milli)).collect()
    }

    fn reason(&self, code: String, milli: i64) -> Option<Reason> {
        let points = self.config.signals.get(&code)?.points(milli);
        Some(Reason { code, points, value: Some(Exact::new(milli, 3)) })
    }

    /// Points of the way from where the card was, which it is not any more. A transaction that comes late does not move it.
    fn travel(&self, place: Place, kept: &mut Kept) -> Option<Reason> {
        let before = kept.place.get().copied();
        if before.is_none_or(|before| place.at >= before.at) {
            kept.place.set(place);
        }
        let before = before.filter(|before| distance_m(before, &place) > 0)?;
        self.reason("travel_speed".into(), speed_milli(&before, &place))
    }
}

impl Transaction<'_> {
    /// Where the card is, if it is present.
    fn place(&self) -> Result<Option<Place>> {
        let (Some(latitude), Some(longitude)) = (self.latitude, self.longitude) else {
            return Ok(None);
        };
        ensure!(latitude.units().abs() <= 90_000_000, "a latitude of {latitude}");
        ensure!(longitude.units().abs() <= 180_000_000, "a longitude of {longitude}");
        let (latitude, longitude) = (latitude.units(), longitude.units());
        Ok(Some(Place { latitude, longitude, at: self.ts }))
    }
}

#[cfg(test)]
mod tests;
