//! What a window holds: one part per field of the result.

use std::cmp::Ordering;

use expression::{Exact, Owned};
use millstream_udf::prelude::*;

use crate::config::Operation;

/// A value of a record, or a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Quantity {
    /// As the expression gave it.
    Plain(Owned),
    /// A count of units of 10^-scale.
    Exact { units: i64, scale: u8 },
}

/// What a record contributes to one field.
pub struct Contribution {
    /// The field, see [`Spec::id`](crate::spec::Spec).
    pub id: u32,
    pub operation: Operation,
    /// Nothing: the record has no value for it, and counts for `count` only if it has one.
    pub quantity: Option<Quantity>,
    /// Event time of the record.
    pub time: i64,
}

/// All parts of a window. Each is found by the field's id, so that a changed configuration takes up those that it still
/// has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    parts: Vec<(u32, Part)>,
}

/// What has been gathered for one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part {
    Count(u64),
    Sum(Sum),
    Min(Option<Quantity>),
    Max(Option<Quantity>),
    /// With its event time.
    First(Option<(i64, Quantity)>),
    Last(Option<(i64, Quantity)>),
}

/// A sum. Integers and units are summed apart from doubles, and so exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    pub count: u64,
    pub integers: i128,
    pub doubles: Option<f64>,
}

impl Sum {
    fn add(&mut self, quantity: &Quantity) {
        self.count += 1;
        match quantity {
            Quantity::Exact { units, .. } => self.integers += i128::from(*units),
            Quantity::Plain(Owned::Int(integer)) => self.integers += i128::from(*integer),
            Quantity::Plain(Owned::Double(double)) => {
                self.doubles = Some(self.doubles.unwrap_or_default() + double);
            }
            // Checked when the record was read.
            Quantity::Plain(Owned::Null | Owned::Bool(_) | Owned::Text(_)) => {}
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.integers += other.integers;
        self.doubles = match (self.doubles, other.doubles) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
    }
}

impl Part {
    fn new(operation: Operation) -> Self {
        match operation {
            Operation::Count => Self::Count(0),
            Operation::Sum | Operation::Avg => Self::Sum(Sum::default()),
            Operation::Min => Self::Min(None),
            Operation::Max => Self::Max(None),
            Operation::First => Self::First(None),
            Operation::Last => Self::Last(None),
        }
    }

    fn add(&mut self, quantity: &Quantity, time: i64) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Sum(sum) => sum.add(quantity),
            Self::Min(_) => self.merge(Self::Min(Some(quantity.clone()))),
            Self::Max(_) => self.merge(Self::Max(Some(quantity.clone()))),
            Self::First(_) => self.merge(Self::First(Some((time, quantity.clone())))),
            Self::Last(_) => self.merge(Self::Last(Some((time, quantity.clone())))),
        }
    }

    /// Takes in another part of the same kind. What is in both alike stays as it is here, but for the last.
    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(other)) => *count += other,
            (Self::Sum(sum), Self::Sum(other)) => sum.merge(other),
            (Self::Min(min), Self::Min(Some(other)))
                if min.as_ref().is_none_or(|min| order(&other, min).is_lt()) =>
            {
                *min = Some(other);
            }
            (Self::Max(max), Self::Max(Some(other)))
                if max.as_ref().is_none_or(|max| order(&other, max).is_gt()) =>
            {
                *max = Some(other);
            }
            (Self::First(first), Self::First(Some(other)))
                if first.as_ref().is_none_or(|(time, _)| other.0 < *time) =>
            {
                *first = Some(other);
            }
            (Self::Last(last), Self::Last(Some(other)))
                if last.as_ref().is_none_or(|(time, _)| other.0 >= *time) =>
            {
                *last = Some(other);
            }
            // The other has nothing, or nothing that counts; ids tell different kinds apart.
            _ => {}
        }
    }
}

/// The order of quantities: bools, numbers, text.
fn order(a: &Quantity, b: &Quantity) -> Ordering {
    fn rank(quantity: &Quantity) -> u8 {
        match quantity {
            Quantity::Plain(Owned::Null) => 0,
            Quantity::Plain(Owned::Bool(_)) => 1,
            Quantity::Plain(Owned::Int(_) | Owned::Double(_)) | Quantity::Exact { .. } => 2,
            Quantity::Plain(Owned::Text(_)) => 3,
        }
    }
    match (a, b) {
        (Quantity::Exact { units: a, .. }, Quantity::Exact { units: b, .. }) => a.cmp(b),
        (Quantity::Plain(Owned::Int(a)), Quantity::Plain(Owned::Int(b))) => a.cmp(b),
        (Quantity::Plain(Owned::Text(a)), Quantity::Plain(Owned::Text(b))) => a.cmp(b),
        (Quantity::Plain(Owned::Bool(a)), Quantity::Plain(Owned::Bool(b))) => a.cmp(b),
        (Quantity::Plain(Owned::Int(a)), Quantity::Plain(Owned::Double(b))) => {
            (*a as f64).total_cmp(b)
        }
        (Quantity::Plain(Owned::Double(a)), Quantity::Plain(Owned::Int(b))) => {
            a.total_cmp(&(*b as f64))
        }
        (Quantity::Plain(Owned::Double(a)), Quantity::Plain(Owned::Double(b))) => a.total_cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

impl Totals {
    /// The part of a field.
    pub fn part(&self, id: u32) -> Option<&Part> {
        self.parts.iter().find(|(known, _)| *known == id).map(|(_, part)| part)
    }

    fn at(&mut self, id: u32, make: impl FnOnce() -> Part) -> &mut Part {
        let at = self.parts.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.parts.push((id, make()));
            self.parts.len() - 1
        });
        &mut self.parts[at].1
    }
}

impl Aggregate for Totals {
    type Input<'i> = [Contribution];
    type Result = Self;

    fn add(&mut self, contributions: &[Contribution]) {
        for Contribution { id, operation, quantity, time } in contributions {
            let part = self.at(*id, || Part::new(*operation));
            if let Some(quantity) = quantity {
                part.add(quantity, *time);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (id, part) in other.parts {
            match self.parts.iter_mut().find(|(known, _)| *known == id) {
                Some((_, known)) => known.merge(part),
                None => self.parts.push((id, part)),
            }
        }
    }

    fn result(&self) -> Self {
        self.clone()
    }
}

impl Quantity {
    /// Text.
    pub fn text(text: &str) -> Self {
        Self::Plain(Owned::Text(text.into()))
    }

    /// An integer.
    pub fn integer(integer: i64) -> Self {
        Self::Plain(Owned::Int(integer))
    }

    /// What expressions see: an exact number is a double there.
    pub fn to_scalar(this: Option<&Self>) -> Owned {
        match this {
            None => Owned::Null,
            Some(Self::Plain(owned)) => owned.clone(),
            Some(Self::Exact { units, scale }) => {
                Owned::Double(*units as f64 / 10_f64.powi((*scale).into()))
            }
        }
    }

    /// Appends it as JSON; nothing as `null`.
    pub fn write(this: Option<&Self>, out: &mut Vec<u8>) -> Result<()> {
        match this {
            None => out.extend_from_slice(b"null"),
            Some(Self::Plain(owned)) => owned.write(out)?,
            Some(Self::Exact { units, scale }) => {
                out.extend_from_slice(
                    Exact { units: *units, scale: *scale }.to_string().as_bytes(),
                );
            }
        }
        Ok(())
    }
}

impl From<Exact> for Quantity {
    fn from(Exact { units, scale }: Exact) -> Self {
        Self::Exact { units, scale }
    }
}
