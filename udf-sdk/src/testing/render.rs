//! Writes outputs as the host does: canonical JSON lines.

use std::fmt::Write;

use crate::decimal::digits;
use crate::describe::{FieldType, Output};
use crate::frame::{Emitted, Values, is_present};

/// A double as the host writes it: the shortest digits that give it back, in the notation of Python's
/// `repr`; `null` for NaN and infinities.
pub fn float(value: f64) -> String {
    if !value.is_finite() {
        return "null".into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Item `i` of an output: a JSON object with sorted keys, or the raw payload.
pub fn item(output: &Output, emitted: &Emitted, i: usize) -> Vec<u8> {
    if output.is_raw()
        && let Values::Blobs(blob) = &emitted.columns[0].values
    {
        return blob.get(i).to_vec();
    }
    let mut fields: Vec<_> = output.fields.iter().zip(&emitted.columns).collect();
    fields.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let mut line = String::from("{");
    for (field, column) in fields {
        if !is_present(&column.present, i) {
            continue;
        }
        if line.len() > 1 {
            line.push(',');
        }
        line.push_str(&quoted(&field.name));
        line.push(':');
        match (&column.values, field.kind) {
            (Values::Booleans(values), _) => {
                line.push_str(if values[i] != 0 { "true" } else { "false" })
            }
            (Values::Integers(values), FieldType::Decimal(scale)) => {
                line.push_str(&digits(values[i], scale));
            }
            (Values::Integers(values), _) => {
                write!(line, "{}", values[i]).expect("writing to a string")
            }
            (Values::Floats(values), _) => line.push_str(&float(values[i])),
            (Values::Blobs(blob), FieldType::Json) => line.push_str(text(blob.get(i))),
            (Values::Blobs(blob), _) => line.push_str(&quoted(text(blob.get(i)))),
        }
    }
    line.push('}');
    line.into_bytes()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text fields are UTF-8")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_like_pythons_repr() {
        for (value, written) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (123_456_789.5, "123456789.5"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(float(value), written);
        }
    }
}
