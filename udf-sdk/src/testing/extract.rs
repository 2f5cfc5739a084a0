//! Takes declared fields out of records, as the host does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::record::Record;
use crate::describe::{FieldSource, FieldType, Input};
use crate::frame::{Blob, Column, Values, push_presence};

/// The value of one field of one record.
pub enum Cell {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Bytes(Vec<u8>),
}

/// The values of the declared fields, `None` where an optional one is absent.
pub type Row = Vec<Option<Cell>>;

/// A record's payload, parsed when a field first needs it.
pub struct Document<'r> {
    record: &'r Record,
    top: Option<&'r RawValue>,
}

impl<'r> Document<'r> {
    pub fn new(record: &'r Record) -> Self {
        Self { record, top: None }
    }

    /// The JSON text that a pointer names; none if it is missing or `null`.
    fn at(&mut self, pointer: &str) -> Result<Option<&'r RawValue>, String> {
        let top = match self.top {
            Some(top) => top,
            None => serde_json::from_slice(&self.record.payload)
                .map_err(|e| format!("the payload is not JSON: {e}"))?,
        };
        self.top = Some(top);
        let mut value = top;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let text = value.get();
            let below = if text.starts_with('{') {
                parse::<BTreeMap<Cow<'r, str>, &'r RawValue>>(text)?.remove(&token[..])
            } else if text.starts_with('[') {
                let items = parse::<Vec<&'r RawValue>>(text)?;
                token.parse::<usize>().ok().and_then(|i| items.get(i).copied())
            } else {
                None
            };
            match below {
                Some(below) => value = below,
                None => return Ok(None),
            }
        }
        Ok(Some(value).filter(|value| value.get() != "null"))
    }

    /// The text that a pointer names, for keys; numbers as they are written.
    pub fn key(&mut self, pointer: &str) -> Result<Vec<u8>, String> {
        let value =
            self.at(pointer)?.ok_or_else(|| format!("the key `{pointer}` is missing"))?.get();
        if value.starts_with('"') {
            parse::<String>(value).map(String::into_bytes)
        } else {
            Ok(value.as_bytes().to_vec())
        }
    }

    /// The integer that a pointer names, for event times.
    pub fn integer(&mut self, pointer: &str) -> Result<i64, String> {
        let value =
            self.at(pointer)?.ok_or_else(|| format!("the event time `{pointer}` is missing"))?;
        parse(value.get())
    }

    /// All declared fields.
    pub fn row(&mut self, input: &Input) -> Result<Row, String> {
        let mut row = Vec::with_capacity(input.fields.len());
        for field in &input.fields {
            let cell = self
                .cell(&field.source, field.kind)
                .map_err(|why| format!("field `{}`: {why}", field.name))?;
            if cell.is_none() && !field.optional {
                return Err(format!("field `{}` is missing", field.name));
            }
            row.push(cell);
        }
        Ok(row)
    }

    fn cell(&mut self, source: &FieldSource, kind: FieldType) -> Result<Option<Cell>, String> {
        let bytes = |bytes: &[u8]| Ok(Some(Cell::Bytes(bytes.to_vec())));
        match source {
            FieldSource::Payload if kind == FieldType::Json => {
                self.at("")?;
                bytes(&self.record.payload)
            }
            FieldSource::Payload => bytes(&self.record.payload),
            FieldSource::Subject => bytes(self.record.subject.as_bytes()),
            FieldSource::Header(name) => {
                match self.record.headers.iter().find(|(header, _)| header == name) {
                    Some((_, value)) => bytes(value.as_bytes()),
                    None => Ok(None),
                }
            }
            FieldSource::Pointer(pointer) => match self.at(pointer)? {
                Some(value) => json_cell(value.get(), kind).map(Some),
                None => Ok(None),
            },
        }
    }
}

fn parse<'t, T: serde::Deserialize<'t>>(text: &'t str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn json_cell(text: &str, kind: FieldType) -> Result<Cell, String> {
    match kind {
        FieldType::Boolean => parse(text).map(Cell::Boolean),
        FieldType::S64 if text.contains(['.', 'e', 'E']) => Err(format!("{text} is no integer")),
        FieldType::S64 => parse(text).map(Cell::Integer),
        FieldType::F64 => parse(text).map(Cell::Float),
        FieldType::Decimal(scale) if text.starts_with('"') => {
            decimal(&parse::<String>(text)?, scale).map(Cell::Integer)
        }
        FieldType::Decimal(scale) => decimal(text, scale).map(Cell::Integer),
        FieldType::Text => parse::<String>(text).map(|text| Cell::Bytes(text.into_bytes())),
        FieldType::Json => Ok(Cell::Bytes(text.as_bytes().to_vec())),
        FieldType::Bytes => Err("bytes do not come from JSON".into()),
    }
}

/// The units of 10^-scale that a number is, exactly.
fn decimal(text: &str, scale: u8) -> Result<i64, String> {
    let bad = || format!("`{text}` is no number with at most {scale} digits behind the point");
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| bad())?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let dangling = digits.contains('.') && fraction.is_empty();
    if whole.is_empty() || dangling || !plain(whole) || !plain(fraction) || exponent.abs() > 40 {
        return Err(bad());
    }
    let mut units: i128 = format!("{whole}{fraction}").parse().map_err(|_| bad())?;
    let shift = i32::from(scale) + exponent - fraction.len() as i32;
    for _ in 0..shift.unsigned_abs() {
        if shift > 0 {
            units = units.checked_mul(10).ok_or_else(bad)?;
        } else if units % 10 == 0 {
            units /= 10;
        } else {
            return Err(bad());
        }
    }
    i64::try_from(if negative { -units } else { units }).map_err(|_| bad())
}

/// Columns of rows, in the order of the declaration.
pub fn columns(input: &Input, rows: &[&Row]) -> Vec<Column> {
    let column = |(f, field): (usize, &crate::describe::InputField)| {
        let mut present = Vec::new();
        let mut values = match field.kind {
            FieldType::Boolean => Values::Booleans(Vec::new()),
            FieldType::S64 | FieldType::Decimal(_) => Values::Integers(Vec::new()),
            FieldType::F64 => Values::Floats(Vec::new()),
            FieldType::Text | FieldType::Bytes | FieldType::Json => Values::Blobs(Blob::default()),
        };
        for (i, row) in rows.iter().enumerate() {
            if field.optional {
                push_presence(&mut present, i, row[f].is_some());
            }
            match (&mut values, &row[f]) {
                (Values::Booleans(column), Some(Cell::Boolean(value))) => {
                    column.push((*value).into())
                }
                (Values::Integers(column), Some(Cell::Integer(value))) => column.push(*value),
                (Values::Floats(column), Some(Cell::Float(value))) => column.push(*value),
                (Values::Blobs(column), Some(Cell::Bytes(value))) => column.push(value),
                (Values::Booleans(column), _) => column.push(0),
                (Values::Integers(column), _) => column.push(0),
                (Values::Floats(column), _) => column.push(0.0),
                (Values::Blobs(column), _) => column.push(&[]),
            }
        }
        Column { present, values }
    };
    input.fields.iter().enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, scale, units) in [
            ("12.3", 2, 1230),
            ("-0.05", 2, -5),
            ("1e2", 2, 10_000),
            ("1.50", 1, 15),
            ("92233720368547758.07", 2, i64::MAX),
            ("-92233720368547758.08", 2, i64::MIN),
        ] {
            assert_eq!(decimal(text, scale), Ok(units), "{text}");
        }
        for (text, scale) in [
            ("0.001", 2),
            ("", 2),
            ("1.", 2),
            (".5", 2),
            ("1x", 2),
            ("92233720368547758.08", 2),
            ("1e400", 2),
        ] {
            assert!(decimal(text, scale).is_err(), "{text}");
        }
    }

    #[test]
    fn pointers_walk_objects_and_arrays() {
        let record = Record::raw(r#"{"a/b": {"c~": [10, "x", null]}}"#);
        let mut document = Document::new(&record);
        assert_eq!(document.integer("/a~1b/c~0/0"), Ok(10));
        assert_eq!(document.key("/a~1b/c~0/1"), Ok(b"x".to_vec()));
        assert!(document.key("/a~1b/c~0/2").is_err());
        assert!(document.key("/none/at/all").is_err());
    }
}
