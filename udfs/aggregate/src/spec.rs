//! A field of the result: what a record contributes to it, and what comes of that.

use expression::{Compiler, Exact, Expression, Owned, Scope};
use millstream_udf::prelude::*;

use crate::config::{Field, Operation};
use crate::totals::{Contribution, Part, Quantity, Sum, Totals};

/// Bytes of text that `min`, `max`, `first` and `last` keep, at most.
const TEXT_BYTES_MAX: usize = 1_024;

/// A compiled field.
pub struct Spec {
    pub name: String,
    /// Made of its name, its operation and its scale: what is gathered in a window is found by it.
    pub id: u32,
    operation: Operation,
    source: Option<Expression>,
    scale: Option<u8>,
}

impl Spec {
    /// Compiles a field.
    pub fn compile(compiler: &mut Compiler, name: &str, field: &Field) -> Result<Self> {
        let Field { operation, scale, source } = field;
        let setting = format!("fields.{name}.{}", operation.name());
        let compiled = source.as_deref().map(|source| compiler.compile(&setting, source));
        let text = format!("{name}\0{}\0{scale:?}", operation.name());
        Ok(Self {
            name: name.into(),
            id: fnv(text.as_bytes()),
            operation: *operation,
            source: compiled.transpose()?,
            scale: *scale,
        })
    }

    /// What a record contributes.
    pub fn contribution(&self, scope: &Scope<'_>, time: i64) -> Result<Contribution> {
        let quantity = match (&self.source, self.operation, self.scale) {
            (None, ..) => Some(Quantity::Plain(Owned::Null)),
            (Some(source), Operation::Count, _) => {
                source.test(scope)?.then_some(Quantity::Plain(Owned::Null))
            }
            (Some(source), _, Some(scale)) => {
                source.optional_exact(scope, scale)?.map(Quantity::from)
            }
            (Some(source), operation, None) => {
                let quantity = source.optional(scope)?;
                let quantity = quantity.map(|quantity| checked(quantity, operation)).transpose();
                quantity
                    .map_err(|error| error.context(format_args!("`{}`", source.setting())))?
                    .map(Quantity::Plain)
            }
        };
        Ok(Contribution { id: self.id, operation: self.operation, quantity, time })
    }

    /// The result of a window; nothing if no record had a value.
    pub fn result(&self, totals: &Totals) -> Result<Option<Quantity>> {
        let result = match (totals.part(self.id), self.operation) {
            (Some(Part::Count(count)), _) => integer((*count).into(), None)?,
            (Some(Part::Sum(sum)), _) if sum.count == 0 => return Ok(None),
            (Some(Part::Sum(sum)), Operation::Avg) => self.average(sum)?,
            (Some(Part::Sum(sum)), _) => match sum.doubles {
                Some(doubles) => finite(sum.integers as f64 + doubles)?,
                None => integer(sum.integers, self.scale)?,
            },
            (Some(Part::Min(quantity) | Part::Max(quantity)), _) => return Ok(quantity.clone()),
            (Some(Part::First(quantity) | Part::Last(quantity)), _) => {
                return Ok(quantity.as_ref().map(|(_, quantity)| quantity.clone()));
            }
            (None, Operation::Count) => integer(0, None)?,
            (None, _) => return Ok(None),
        };
        Ok(Some(result))
    }

    /// Exact ones are rounded to the scale, halves away from zero.
    fn average(&self, sum: &Sum) -> Result<Quantity> {
        let count = i128::from(sum.count);
        match self.scale {
            Some(_) => {
                let half = if sum.integers < 0 { -count } else { count };
                integer((2 * sum.integers + half) / (2 * count), self.scale)
            }
            None => finite((sum.integers as f64 + sum.doubles.unwrap_or_default()) / count as f64),
        }
    }
}

/// A quantity that an operation can take.
fn checked(quantity: Owned, operation: Operation) -> Result<Owned> {
    let what = operation.name();
    match (&quantity, operation) {
        (Owned::Double(double), _) => {
            ensure!(double.is_finite(), "`{what}` is given no finite number")
        }
        (Owned::Int(_), _) => {}
        (_, Operation::Sum | Operation::Avg) => {
            bail!("`{what}` adds numbers; for decimal numbers in text give a `scale`")
        }
        (Owned::Text(text), _) => {
            let bytes = text.len();
            ensure!(
                bytes <= TEXT_BYTES_MAX,
                "`{what}` is given {bytes} bytes of text; {TEXT_BYTES_MAX} are kept at most"
            );
        }
        _ => {}
    }
    Ok(quantity)
}

fn integer(integer: i128, scale: Option<u8>) -> Result<Quantity> {
    let Ok(units) = i64::try_from(integer) else {
        bail!("a result of {integer} does not fit into 64 bits");
    };
    Ok(match scale {
        Some(scale) => Exact { units, scale }.into(),
        None => Quantity::Plain(Owned::Int(units)),
    })
}

fn finite(double: f64) -> Result<Quantity> {
    ensure!(double.is_finite(), "a result is too large for a double");
    Ok(Quantity::Plain(Owned::Double(double)))
}

/// FNV-1a in 32 bits: the same for ever, which a hash of the standard library is not.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
