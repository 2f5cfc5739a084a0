//! From the columns a guest returned to canonical JSON: keys sorted, no spaces,
//! only the escapes that must be.

use super::{float, text};
use millstream_core::columns::{Column, Emitted, Values};
use millstream_core::description::{FieldType, Output};

/// Writes the items of one output.
#[derive(Debug)]
pub struct Encoder {
    /// Sorted by name. Empty for a raw output.
    fields: Vec<Field>,
    /// Whether the single column holds the payloads themselves.
    raw: bool,
}

#[derive(Debug)]
struct Field {
    /// `,"name":`, whose comma becomes a brace in the first field that is present.
    prefix: Vec<u8>,
    column: usize,
    kind: FieldType,
}

impl Encoder {
    /// An encoder for a declared output.
    pub fn new(output: &Output) -> Self {
        if let [field] = &output.fields[..]
            && field.kind == FieldType::Bytes
        {
            return Self { fields: Vec::new(), raw: true };
        }
        let mut named: Vec<_> = output.fields.iter().enumerate().collect();
        named.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        let fields = named.into_iter().map(|(column, field)| {
            let mut prefix = vec![b','];
            text::quote(field.name.as_bytes(), &mut prefix);
            prefix.push(b':');
            Field { prefix, column, kind: field.kind }
        });
        Self { fields: fields.collect(), raw: false }
    }

    /// Whether items are passed through as they are.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Appends item `i` of `emitted` to `out`.
    ///
    /// # Panics
    ///
    /// When `emitted` does not have the columns of the output or has no item `i`; effects that
    /// a [`Udf`](millstream_core::udf::Udf) returned have been checked.
    #[inline]
    pub fn encode(&self, emitted: &Emitted, i: usize, out: &mut Vec<u8>) {
        if self.raw {
            match &emitted.columns[0].values {
                Values::Blobs(items) => out.extend_from_slice(items.get(i)),
                _ => panic!("a raw output has a column of blobs"),
            }
            return;
        }
        let start = out.len();
        for field in &self.fields {
            let column = &emitted.columns[field.column];
            if column.present.has(i) {
                out.extend_from_slice(&field.prefix);
                write_value(field.kind, column, i, out);
            }
        }
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }
}

#[inline]
fn write_value(kind: FieldType, column: &Column, i: usize, out: &mut Vec<u8>) {
    match (kind, &column.values) {
        (FieldType::Text, Values::Blobs(items)) => text::quote(items.get(i), out),
        (FieldType::F64, Values::Floats(items)) => float::write(items[i], out),
        (FieldType::S64, Values::Integers(items)) => write_integer(items[i], out),
        (FieldType::Decimal(scale), Values::Integers(items)) => write_decimal(items[i], scale, out),
        (FieldType::Boolean, Values::Booleans(items)) => {
            out.extend_from_slice(if items[i] == 0 { b"false" } else { b"true" });
        }
        (FieldType::Json, Values::Blobs(items)) => write_json(items.get(i), out),
        (kind, _) => panic!("a column of {kind:?} has values of another kind"),
    }
}

#[inline]
fn write_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Exactly `scale` digits behind the point.
fn write_decimal(units: i64, scale: u8, out: &mut Vec<u8>) {
    let one = 10u64.pow(u32::from(scale));
    let units_abs = units.unsigned_abs();
    if units < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(units_abs / one).as_bytes());
    if scale > 0 {
        out.push(b'.');
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(units_abs % one).as_bytes();
        out.extend(std::iter::repeat_n(b'0', usize::from(scale) - digits.len()));
        out.extend_from_slice(digits);
    }
}

/// JSON text without the spaces between its tokens: an item must stay one line.
fn write_json(json: &[u8], out: &mut Vec<u8>) {
    if !json.iter().any(|&b| b <= b' ') {
        out.extend_from_slice(json);
        return;
    }
    let mut in_string = false;
    let mut escaped = false;
    for &b in json {
        if in_string || b > b' ' {
            out.push(b);
        }
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::columns::{Blob, Presence};
    use millstream_core::description::OutputField;

    fn blob(items: &[&str]) -> Values {
        let mut blob = Blob::default();
        items.iter().for_each(|item| blob.push(item.as_bytes()));
        Values::Blobs(blob)
    }

    fn lines(
        fields: &[(&str, FieldType, Values)],
        absent: &[(usize, usize)],
        items: usize,
    ) -> Vec<String> {
        let declared = fields.iter().map(|(name, kind, _)| OutputField {
            name: (*name).into(),
            kind: *kind,
            optional: true,
        });
        let output = Output { name: "out".into(), fields: declared.collect() };
        let columns = fields.iter().enumerate().map(|(column, (_, _, values))| {
            let mut present = Presence::default();
            (0..items).for_each(|i| present.push(i, !absent.contains(&(column, i))));
            Column { present, values: values.clone() }
        });
        let emitted = Emitted { causes: vec![0; items], columns: columns.collect() };
        let encoder = Encoder::new(&output);
        let encode = |i| {
            let mut out = Vec::new();
            encoder.encode(&emitted, i, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..items).map(encode).collect()
    }

    #[test]
    fn keys_are_sorted_and_absent_items_left_out() {
        let fields = [
            ("txn", FieldType::Text, blob(&["a\"b", "", "z"])),
            ("amount", FieldType::Decimal(2), Values::Integers(vec![-5, 1230, i64::MIN])),
            ("ok", FieldType::Boolean, Values::Booleans(vec![1, 0, 0])),
            ("score", FieldType::F64, Values::Floats(vec![1.0, f64::NAN, 5.5e-5])),
            ("n", FieldType::S64, Values::Integers(vec![1, i64::MIN, 0])),
            ("more", FieldType::Json, blob(&["{ \"a b\\\" \" : [1,\n 2] }", "null", "[]"])),
        ];
        let absent = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (1, 2), (5, 2)];
        assert_eq!(
            lines(&fields, &absent, 3),
            [
                r#"{"amount":-0.05,"more":{"a b\" ":[1,2]},"n":1,"ok":true,"score":1.0,"txn":"a\"b"}"#,
                "{}",
                r#"{"n":0,"ok":false,"score":5.5e-05,"txn":"z"}"#,
            ]
        );
        assert!(lines(&fields, &[], 3)[1].contains(r#""score":null"#));
    }

    #[test]
    fn decimals_have_their_scale() {
        let text = |units, scale| {
            let mut out = Vec::new();
            write_decimal(units, scale, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(1230, 2), "12.30");
        assert_eq!(text(7, 0), "7");
        assert_eq!(text(0, 3), "0.000");
        assert_eq!(text(i64::MIN, 18), "-9.223372036854775808");
    }

    #[test]
    fn a_single_bytes_field_is_raw() {
        let field = OutputField { name: "data".into(), kind: FieldType::Bytes, optional: false };
        let encoder = Encoder::new(&Output { name: "out".into(), fields: vec![field] });
        let column = Column { present: Presence::default(), values: blob(&["x", "{y"]) };
        let mut out = b"before".to_vec();
        encoder.encode(&Emitted { causes: vec![0, 0], columns: vec![column] }, 1, &mut out);
        assert!(encoder.is_raw());
        assert_eq!(out, b"before{y");
    }
}
