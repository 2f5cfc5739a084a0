//! A scorecard as the configuration gives it: characteristics of an applicant, their attributes, and what each is worth. Points add up
//! to the score exactly.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

/// Characteristics of a scorecard, at most.
const CHARACTERISTICS_MAX: usize = 64;
/// Attributes of a characteristic, at most.
const ATTRIBUTES_MAX: usize = 64;
/// Points of an attribute, at most.
const POINTS_MAX: i64 = 100_000;

/// A scorecard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scorecard {
    /// Points of everybody.
    #[serde(default)]
    pub base: i64,
    /// From this score on an application is accepted.
    pub cut_off: i64,
    pub characteristics: Vec<Characteristic>,
}

/// Something known of an applicant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Characteristic {
    pub name: String,
    /// The first that fits counts.
    pub attributes: Vec<Attribute>,
    /// Points if none fits, or nothing is known. Without them such an application is refused.
    pub otherwise: Option<i64>,
}

/// What a characteristic may be: a text, or a range of integers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    pub is: Option<String>,
    /// At least.
    pub from: Option<i64>,
    /// Less than.
    pub below: Option<i64>,
    pub points: i64,
}

/// What an application says of a characteristic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    Number(i64),
    Text(String),
}

/// An application's answers by characteristic. Others than the scorecard's are not looked at.
pub type Answers = BTreeMap<String, Answer>;

/// What a characteristic is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The characteristic.
    pub code: String,
    pub points: i64,
    /// The most that it could be worth, less what it is: the largest are the reasons for a low score.
    pub short: i64,
}

/// A scored application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scored {
    pub score: i64,
    pub accepted: bool,
    /// What fell short most comes first.
    pub shares: Vec<Share>,
}

impl Attribute {
    fn fits(&self, answer: &Answer) -> bool {
        match answer {
            Answer::Text(text) => self.is.as_ref() == Some(text),
            Answer::Number(number) => {
                self.is.is_none()
                    && self.from.is_none_or(|from| *number >= from)
                    && self.below.is_none_or(|below| *number < below)
            }
        }
    }
}

impl Scorecard {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        let count = self.characteristics.len();
        ensure!(
            (1..=CHARACTERISTICS_MAX).contains(&count),
            "the scorecard has {count} characteristics; it must have 1 to {CHARACTERISTICS_MAX}"
        );
        let bounded = |name: &str, points: i64| -> Result<()> {
            ensure!(
                points.abs() <= POINTS_MAX,
                "`{name}` has {points} points; they must be -{POINTS_MAX} to {POINTS_MAX}"
            );
            Ok(())
        };
        bounded("base", self.base)?;
        for (i, characteristic) in self.characteristics.iter().enumerate() {
            let Characteristic { name, attributes, otherwise } = characteristic;
            let twice = self.characteristics[..i].iter().any(|other| other.name == *name);
            ensure!(!twice, "characteristic `{name}` is named twice");
            ensure!(
                (1..=ATTRIBUTES_MAX).contains(&attributes.len()),
                "characteristic `{name}` has {} attributes; it must have 1 to {ATTRIBUTES_MAX}",
                attributes.len()
            );
            bounded(name, otherwise.unwrap_or(0))?;
            for attribute in attributes {
                bounded(name, attribute.points)?;
                let range = attribute.from.is_some() || attribute.below.is_some();
                ensure!(
                    attribute.is.is_some() != range,
                    "an attribute of `{name}` must have either `is`, or `from` and `below`"
                );
                ensure!(
                    attribute.from.zip(attribute.below).is_none_or(|(from, below)| from < below),
                    "an attribute of `{name}` begins where it ends, or behind that"
                );
            }
        }
        Ok(())
    }

    /// Scores an application.
    pub fn score(&self, answers: &Answers) -> Result<Scored> {
        let mut shares = Vec::with_capacity(self.characteristics.len());
        for Characteristic { name, attributes, otherwise } in &self.characteristics {
            let answer = answers.get(name);
            let fitting = answer
                .and_then(|answer| attributes.iter().find(|attribute| attribute.fits(answer)));
            let Some(points) = fitting.map(|attribute| attribute.points).or(*otherwise) else {
                match answer {
                    Some(answer) => {
                        bail!("`{name}` is {answer}, which the scorecard does not know")
                    }
                    None => bail!("`{name}` is missing"),
                }
            };
            let all = attributes.iter().map(|attribute| attribute.points).chain(*otherwise);
            let most = all.max().unwrap_or(points);
            shares.push(Share { code: name.clone(), points, short: most - points });
        }
        let score = self.base + shares.iter().map(|share| share.points).sum::<i64>();
        shares.sort_by_key(|share| std::cmp::Reverse(share.short));
        Ok(Scored { score, accepted: score >= self.cut_off, shares })
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// The scorecard that L. C. Thomas, D. B. Edelman and J. N. Crook, "Credit Scoring and Its Applications" (SIAM, 2002), explain
    /// scoring by.
    pub fn published() -> Value {
        let range = |from: Value, below: Value, points: i64| json!({"from": from, "below": below, "points": points});
        let is = |text: &str, points: i64| json!({"is": text, "points": points});
        json!({"cut_off": 100, "characteristics": [
            {"name": "residential_status", "attributes": [is("owner", 36), is("tenant", 10), is("parents", 14), is("other", 20)], "otherwise": 16},
            {"name": "age", "attributes": [
                range(json!(18), json!(26), 22), range(json!(26), json!(36), 25), range(json!(36), json!(44), 34),
                range(json!(44), json!(53), 39), range(json!(53), json!(null), 49),
            ]},
            {"name": "loan_purpose", "attributes": [is("new_car", 41), is("second_hand_car", 33), is("home_improvement", 36), is("holiday", 19)], "otherwise": 25},
            {"name": "ccj_pounds", "attributes": [
                range(json!(null), json!(1), 32), range(json!(1), json!(300), 17), range(json!(300), json!(600), 9),
                range(json!(600), json!(1200), -2), range(json!(1200), json!(null), -17),
            ]},
        ]})
    }

    fn scorecard(card: Value) -> Scorecard {
        serde_json::from_value(card).expect("a scorecard")
    }

    fn answers(answers: Value) -> Answers {
        serde_json::from_value(answers).expect("answers")
    }

    /// A 20-year-old who lives with the parents, wants a second-hand car and never had a county court judgement: 101. A 55-year-old
    /// house owner with a judgement of 250 pounds, for a daughter's wedding: 127.
    #[test]
    fn the_published_applicants() {
        let card = scorecard(published());
        let first = card
            .score(&answers(json!({"residential_status": "parents", "age": 20, "loan_purpose": "second_hand_car", "ccj_pounds": 0})))
            .expect("a score");
        let points: Vec<_> =
            first.shares.iter().map(|share| (&share.code[..], share.points, share.short)).collect();
        let expected = [
            ("age", 22, 27),
            ("residential_status", 14, 22),
            ("loan_purpose", 33, 8),
            ("ccj_pounds", 32, 0),
        ];
        assert_eq!((first.score, points), (101, expected.to_vec()));
        let second = card
            .score(&answers(json!({"residential_status": "owner", "age": 55, "loan_purpose": "wedding", "ccj_pounds": 250})))
            .expect("a score");
        assert_eq!((second.score, second.accepted), (127, true));
    }

    #[test]
    fn what_the_card_does_not_know() {
        let card = scorecard(published());
        let refused =
            |asked: Value| card.score(&answers(asked)).map_err(|error| error.message().to_owned());
        assert_eq!(
            refused(json!({"age": 17, "ccj_pounds": 0})),
            Err("`age` is 17, which the scorecard does not know".into())
        );
        assert_eq!(
            refused(json!({"age": "old"})),
            Err("`age` is `old`, which the scorecard does not know".into())
        );
        assert_eq!(refused(json!({"ccj_pounds": 0})), Err("`age` is missing".into()));
    }

    #[test]
    fn cards_are_checked() {
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut card = published();
            change(&mut card);
            scorecard(card)
                .check()
                .err()
                .map(|error| error.message().to_owned())
                .unwrap_or_default()
        };
        assert_eq!(refused(&|_| {}), "");
        assert_eq!(
            refused(&|card| card["characteristics"] = json!([])),
            "the scorecard has 0 characteristics; it must have 1 to 64"
        );
        assert_eq!(
            refused(&|card| card["characteristics"][0]["name"] = "age".into()),
            "characteristic `age` is named twice"
        );
        let attribute = |attribute: Value| {
            refused(&|card: &mut Value| {
                card["characteristics"][1]["attributes"] = json!([attribute])
            })
        };
        assert_eq!(
            attribute(json!({"points": 1})),
            "an attribute of `age` must have either `is`, or `from` and `below`"
        );
        assert_eq!(
            attribute(json!({"is": "x", "from": 1, "points": 1})),
            "an attribute of `age` must have either `is`, or `from` and `below`"
        );
        assert_eq!(
            attribute(json!({"from": 5, "below": 5, "points": 1})),
            "an attribute of `age` begins where it ends, or behind that"
        );
        assert_eq!(
            attribute(json!({"from": 5, "points": 100_001})),
            "`age` has 100001 points; they must be -100000 to 100000"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Points add up to the score, and no score is outside what the card can give.
        #[test]
        fn reasons_explain_the_sum(status in "owner|tenant|x", age in 18..100_i64, purpose in "holiday|y", pounds in -5..5_000_i64) {
            let card = scorecard(published());
            let asked = json!({"residential_status": status, "age": age, "loan_purpose": purpose, "ccj_pounds": pounds});
            let scored = card.score(&answers(asked)).expect("a score");
            prop_assert_eq!(scored.shares.iter().map(|share| share.points).sum::<i64>(), scored.score);
            prop_assert!((10 + 22 + 19 - 17..=36 + 49 + 41 + 32).contains(&scored.score));
            prop_assert!(scored.shares.iter().all(|share| share.short >= 0));
            prop_assert_eq!(scored.accepted, scored.score >= 100);
        }
    }
}
