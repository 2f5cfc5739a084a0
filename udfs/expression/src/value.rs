//! What an expression gives: written as JSON, or kept as plain data.

use std::cmp::Ordering;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelOptional, CelString, CelUInt, Kind,
};
use cel::common::value::Val;
use millstream_udf::prelude::*;

use crate::exact::Exact;
use crate::fault::type_of;

/// Levels of lists and maps in what is written, at most: an expression adds few to those of a record.
const LEVELS_MAX: usize = 200;

/// A scalar that an expression gave, without its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Owned {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Text.
    Text(String),
}

impl Owned {
    /// The scalar in a value; an error for lists, maps and all else.
    pub fn of(value: &dyn Val) -> Result<Self> {
        let plain = match value.get_type().kind() {
            Kind::NullType => Some(Self::Null),
            Kind::Boolean => value.downcast_ref::<CelBool>().map(|b| Self::Bool(*b.inner())),
            Kind::Int => value.downcast_ref::<CelInt>().map(|n| Self::Int(*n.inner())),
            Kind::Double => value.downcast_ref::<CelDouble>().map(|n| Self::Double(*n.inner())),
            Kind::String => value.downcast_ref::<CelString>().map(|s| Self::Text(s.inner().into())),
            _ => None,
        };
        plain.ok_or_else(|| {
            Error::new(format_args!(
                "a number, text, a bool or null is wanted, and it is a {}",
                type_of(value)
            ))
        })
    }

    /// Appends it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write(self.to_value().as_ref(), out).map(|_| ())
    }

    /// The value for expressions.
    pub fn to_value(&self) -> Box<dyn Val + '_> {
        match self {
            Self::Null => Box::new(CelNull),
            Self::Bool(value) => Box::new(CelBool::from(*value)),
            Self::Int(value) => Box::new(CelInt::from(*value)),
            Self::Double(value) => Box::new(CelDouble::from(*value)),
            Self::Text(value) => Box::new(CelString::from(value.as_str())),
        }
    }
}

/// The value, unless it is `null` or an empty optional.
pub fn present(value: &dyn Val) -> Option<&dyn Val> {
    match value.downcast_ref::<CelOptional>() {
        Some(optional) => optional.option().and_then(present),
        None => (value.get_type().kind() != Kind::NullType).then_some(value),
    }
}

/// The order of a map's keys: by kind (bool, numbers, text), then by value.
pub fn order_of_keys(a: &dyn Val, b: &dyn Val) -> Ordering {
    fn rank(value: &dyn Val) -> (u8, i128, &str) {
        if let Some(text) = value.downcast_ref::<CelString>() {
            (2, 0, text.inner())
        } else if let Some(number) = value.downcast_ref::<CelInt>() {
            (1, (*number.inner()).into(), "")
        } else if let Some(number) = value.downcast_ref::<CelUInt>() {
            (1, (*number.inner()).into(), "")
        } else {
            (0, value.downcast_ref::<CelBool>().is_some_and(|b| *b.inner()).into(), "")
        }
    }
    rank(a).cmp(&rank(b))
}

/// Writes a value as JSON: maps in the order of their keys, no spaces, floats as short as they read back. Whether there was
/// something to write: an empty optional is nothing.
pub fn write(value: &dyn Val, out: &mut Vec<u8>) -> Result<bool> {
    write_at(value, out, 0)
}

fn write_at(value: &dyn Val, out: &mut Vec<u8>, level: usize) -> Result<bool> {
    ensure!(level <= LEVELS_MAX, "the result has more than {LEVELS_MAX} levels");
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return match optional.option() {
            Some(value) => write_at(value, out, level),
            None => Ok(false),
        };
    }
    match value.get_type().kind() {
        Kind::NullType => out.extend_from_slice(b"null"),
        Kind::Boolean => scalar(value.downcast_ref::<CelBool>().map(CelBool::inner), out)?,
        Kind::Int => scalar(value.downcast_ref::<CelInt>().map(CelInt::inner), out)?,
        Kind::UInt => scalar(value.downcast_ref::<CelUInt>().map(CelUInt::inner), out)?,
        Kind::Double => {
            let double = value.downcast_ref::<CelDouble>().map(CelDouble::inner);
            ensure!(
                double.is_none_or(|double| double.is_finite()),
                "the result is not a finite number"
            );
            scalar(double, out)?;
        }
        Kind::String => scalar(value.downcast_ref::<CelString>().map(|text| text.inner()), out)?,
        Kind::List => write_list(value, out, level)?,
        Kind::Map => write_map(value, out, level)?,
        _ => match value.downcast_ref::<Exact>() {
            Some(exact) => out.extend_from_slice(exact.to_string().as_bytes()),
            None => bail!("a {} cannot be written as JSON", type_of(value)),
        },
    }
    Ok(true)
}

fn scalar<T: Serialize>(value: Option<T>, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, &value)?;
    Ok(())
}

/// Appends text as a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) -> Result<()> {
    scalar(Some(text), out)
}

fn write_list(value: &dyn Val, out: &mut Vec<u8>, level: usize) -> Result<()> {
    let Some(list) = value.downcast_ref::<CelList>() else {
        bail!("a {} cannot be written as JSON", type_of(value));
    };
    out.push(b'[');
    let mut first = true;
    for item in list.inner() {
        let start = out.len();
        if !first {
            out.push(b',');
        }
        if write_at(item.as_ref(), out, level + 1)? {
            first = false;
        } else {
            out.truncate(start);
        }
    }
    out.push(b']');
    Ok(())
}

fn write_map(value: &dyn Val, out: &mut Vec<u8>, level: usize) -> Result<()> {
    let Some(map) = value.downcast_ref::<CelMap>() else {
        bail!("a {} cannot be written as JSON", type_of(value));
    };
    let mut entries = Vec::with_capacity(map.len());
    for (key, value) in map.inner() {
        let Some(name) = key.inner().downcast_ref::<CelString>() else {
            bail!("a map with keys other than text cannot be written as JSON");
        };
        entries.push((name.inner(), value));
    }
    entries.sort_by_key(|(name, _)| *name);
    out.push(b'{');
    let mut first = true;
    for (name, value) in entries {
        let start = out.len();
        if !first {
            out.push(b',');
        }
        write_text(name, out)?;
        out.push(b':');
        if write_at(value.as_ref(), out, level + 1)? {
            first = false;
        } else {
            out.truncate(start);
        }
    }
    out.push(b'}');
    Ok(())
}
