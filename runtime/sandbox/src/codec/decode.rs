//! From a record's payload to typed columns.

use super::columns::Columns;
use super::error::{DecodeError, PointerError};
use super::number::{self, NumberError};
use super::paths::{NONE, Paths};
use super::scan::{self, Found, Habits, Kind};
use super::source::{HeaderSource, KeySource, TimeSource};
use super::text;
use millstream_core::columns::{Blob, Column, Values};
use millstream_core::description::{FieldSource, FieldType, InputField};

/// Decodes the records of one input of one stage. Keeps its buffers from record to record.
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<InputField>,
    /// Per field the target of its pointer, or `NONE` for another source.
    targets: Vec<u32>,
    key: KeySource,
    key_target: u32,
    time: TimeSource,
    time_target: u32,
    paths: Paths,
    found: Vec<Found>,
    habits: Habits,
    key_text: Vec<u8>,
}

/// A record whose payload has been read but not yet appended anywhere.
pub struct Scanned<'a> {
    decoder: &'a mut Decoder,
    payload: &'a [u8],
    subject: &'a str,
    headers: &'a dyn HeaderSource,
    /// The key, unless it had to be unescaped into the decoder's `key_text`.
    key: Option<&'a [u8]>,
    event_time: i64,
}

impl Decoder {
    /// A decoder for the declared fields of an input and the stage's key and time. The fields must
    /// have passed the checks on a description.
    ///
    /// # Errors
    ///
    /// A pointer that is not RFC 6901.
    pub fn new(
        fields: &[InputField],
        key: KeySource,
        event_time: TimeSource,
    ) -> Result<Self, PointerError> {
        let mut pointers: Vec<&str> = Vec::new();
        let mut add = |pointer| {
            pointers.push(pointer);
            pointers.len() - 1
        };
        let key_at = match &key {
            KeySource::Pointer(pointer) => Some(add(pointer.as_str())),
            _ => None,
        };
        let time_at = match &event_time {
            TimeSource::Pointer(pointer) => Some(add(pointer.as_str())),
            _ => None,
        };
        let fields_at: Vec<Option<usize>> = fields
            .iter()
            .map(|field| match &field.source {
                FieldSource::Pointer(pointer) => Some(add(pointer.as_str())),
                _ => None,
            })
            .collect();
        let (paths, targets) = Paths::new(&pointers)?;
        let target = |at: Option<usize>| at.map_or(NONE, |at| targets[at]);
        Ok(Self {
            fields: fields.to_vec(),
            targets: fields_at.into_iter().map(target).collect(),
            key_target: target(key_at),
            time_target: target(time_at),
            key,
            time: event_time,
            found: vec![Found::MISSING; paths.targets],
            paths,
            habits: Habits::default(),
            key_text: Vec::new(),
        })
    }

    /// Whether records go to every partition.
    pub fn goes_to_every_partition(&self) -> bool {
        self.key == KeySource::Every
    }

    /// Empty columns for what this decodes.
    pub fn columns(&self) -> Columns {
        Columns::new(&self.fields)
    }

    /// Appends one record to `columns`, which must have been made for the same fields.
    ///
    /// # Errors
    ///
    /// The record is a dead letter; `columns` is as before.
    pub fn decode(
        &mut self,
        payload: &[u8],
        subject: &str,
        headers: &dyn HeaderSource,
        broker_time_ms: i64,
        columns: &mut Columns,
    ) -> Result<(), DecodeError> {
        self.scan(payload, subject, headers, broker_time_ms)?.append(columns)
    }

    /// The first half of [`Decoder::decode`], for a caller that chooses the columns by the key.
    ///
    /// # Errors
    ///
    /// The payload is not JSON although a pointer wants it to be, or has no key or time.
    pub fn scan<'a>(
        &'a mut self,
        payload: &'a [u8],
        subject: &'a str,
        headers: &'a dyn HeaderSource,
        broker_time_ms: i64,
    ) -> Result<Scanned<'a>, DecodeError> {
        if !self.paths.is_empty() {
            scan::scan(payload, &self.paths, &mut self.habits, &mut self.found)?;
        }
        let key = self.find_key(payload, subject, headers)?;
        let event_time = match &self.time {
            TimeSource::Broker => broker_time_ms,
            TimeSource::Header(name) => header_time(name, headers)?,
            TimeSource::Pointer(pointer) => {
                let found = self.found[self.time_target as usize];
                match found.kind {
                    Kind::Integer => {
                        number::integer(found.of(payload), found.digits).map_err(|e| {
                            mismatch(
                                pointer.clone(),
                                "an event time in milliseconds",
                                number_name(e),
                            )
                        })?
                    }
                    kind => {
                        return Err(mismatch(
                            pointer.clone(),
                            "an event time in milliseconds",
                            name_of(kind),
                        ));
                    }
                }
            }
        };
        Ok(Scanned { decoder: self, payload, subject, headers, key, event_time })
    }

    /// The key, or none if it is in `key_text`.
    fn find_key<'a>(
        &mut self,
        payload: &'a [u8],
        subject: &'a str,
        headers: &'a dyn HeaderSource,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        match &self.key {
            KeySource::None | KeySource::Every => Ok(Some(b"")),
            KeySource::SubjectToken(at) => match subject.split('.').nth(*at) {
                Some(token) => Ok(Some(token.as_bytes())),
                None => Err(mismatch("subject".into(), format!("a token {at}"), "fewer tokens")),
            },
            KeySource::Header(name) => match headers.header(name) {
                Some(value) => Ok(Some(value)),
                None => Err(mismatch(format!("header {name}"), "a key", "nothing")),
            },
            KeySource::Pointer(pointer) => {
                let found = self.found[self.key_target as usize];
                let raw = found.of(payload);
                match found.kind {
                    Kind::Plain | Kind::Integer | Kind::Fraction | Kind::True | Kind::False => {
                        Ok(Some(raw))
                    }
                    Kind::Escaped => {
                        let lone = |_| {
                            mismatch(
                                pointer.clone(),
                                "a key",
                                "a string with half a surrogate pair",
                            )
                        };
                        self.key_text.clear();
                        text::unescape(raw, &mut self.key_text).map_err(lone)?;
                        Ok(None)
                    }
                    kind => Err(mismatch(pointer.clone(), "a key", name_of(kind))),
                }
            }
        }
    }
}

impl Scanned<'_> {
    /// The record's key.
    pub fn key(&self) -> &[u8] {
        self.key.unwrap_or(&self.decoder.key_text)
    }

    /// The record's event time, milliseconds since 1970 UTC.
    pub fn event_time(&self) -> i64 {
        self.event_time
    }

    /// The second half of [`Decoder::decode`].
    ///
    /// # Errors
    ///
    /// A declared field is missing or of another type; `columns` is as before.
    pub fn append(&self, columns: &mut Columns) -> Result<(), DecodeError> {
        let rows = columns.len();
        let decoder = &*self.decoder;
        for ((field, &target), column) in
            decoder.fields.iter().zip(&decoder.targets).zip(&mut columns.columns)
        {
            let appended = if target == NONE {
                append_other(field, self, column)
            } else {
                let found = decoder.found[target as usize];
                append_found(field.kind, field.optional, found, self.payload, column)
            };
            match appended {
                Ok(present) if field.optional => column.present.push(rows, present),
                Ok(_) => {}
                Err(found) => {
                    columns.truncate(rows);
                    return Err(mismatch(place(field), expected(field), found));
                }
            }
        }
        columns.keys.push(self.key());
        columns.event_times.push(self.event_time);
        Ok(())
    }
}

/// Appends a value of the document: whether it is present, or what was found instead.
#[inline]
fn append_found(
    kind: FieldType,
    optional: bool,
    found: Found,
    payload: &[u8],
    column: &mut Column,
) -> Result<bool, &'static str> {
    if optional && matches!(found.kind, Kind::Missing | Kind::Null) {
        append_absent(&mut column.values);
        return Ok(false);
    }
    let raw = found.of(payload);
    match (kind, &mut column.values, found.kind) {
        (FieldType::Text, Values::Blobs(blob), Kind::Plain) => blob.push(raw),
        (FieldType::F64, Values::Floats(values), Kind::Integer | Kind::Fraction) => {
            values.push(number::float(raw, found.digits).map_err(number_name)?);
        }
        (FieldType::S64, Values::Integers(values), Kind::Integer) => {
            values.push(number::integer(raw, found.digits).map_err(number_name)?);
        }
        (FieldType::Decimal(scale), Values::Integers(values), Kind::Integer | Kind::Fraction) => {
            values.push(number::decimal(raw, scale).map_err(number_name)?);
        }
        (FieldType::Boolean, Values::Booleans(values), Kind::True) => values.push(1),
        (FieldType::Boolean, Values::Booleans(values), Kind::False) => values.push(0),
        (FieldType::Text, Values::Blobs(blob), Kind::Escaped) => push_unescaped(blob, raw)?,
        // A decimal in a string cannot be mistaken for a double on its way here.
        (FieldType::Decimal(scale), Values::Integers(values), Kind::Plain) => {
            if scan::number(raw).is_none() {
                return Err("a string that holds no number");
            }
            values.push(number::decimal(raw, scale).map_err(number_name)?);
        }
        (FieldType::Json, Values::Blobs(blob), Kind::Plain | Kind::Escaped) => {
            blob.push(&payload[found.start as usize - 1..found.end as usize + 1]);
        }
        (FieldType::Json, Values::Blobs(blob), kind) if kind != Kind::Missing => blob.push(raw),
        (_, _, kind) => return Err(name_of(kind)),
    }
    Ok(true)
}

/// Appends what does not come from a pointer: the whole payload, the subject, a header.
fn append_other(
    field: &InputField,
    record: &Scanned<'_>,
    column: &mut Column,
) -> Result<bool, &'static str> {
    let Values::Blobs(blob) = &mut column.values else { return Err("bytes") };
    let item = match &field.source {
        FieldSource::Payload if field.kind == FieldType::Json => {
            scan::check(record.payload).map_err(|_| "something else")?;
            record.payload
        }
        FieldSource::Payload => record.payload,
        FieldSource::Subject => record.subject.as_bytes(),
        FieldSource::Header(name) => match record.headers.header(name) {
            Some(value) if field.kind == FieldType::Text && std::str::from_utf8(value).is_err() => {
                return Err("bytes that are not UTF-8");
            }
            Some(value) => value,
            None if field.optional => {
                blob.push(b"");
                return Ok(false);
            }
            None => return Err("nothing"),
        },
        // A pointer has a target.
        FieldSource::Pointer(_) => return Err("nothing"),
    };
    blob.push(item);
    Ok(true)
}

fn append_absent(values: &mut Values) {
    match values {
        Values::Booleans(v) => v.push(0),
        Values::Integers(v) => v.push(0),
        Values::Floats(v) => v.push(0.0),
        Values::Blobs(v) => v.push(b""),
    }
}

#[cold]
fn push_unescaped(blob: &mut Blob, raw: &[u8]) -> Result<(), &'static str> {
    // What a failure leaves in `data` goes when the record is rolled back.
    text::unescape(raw, &mut blob.data).map_err(|_| "a string with half a surrogate pair")?;
    blob.ends.push(blob.data.len() as u32);
    Ok(())
}

#[cold]
fn header_time(name: &str, headers: &dyn HeaderSource) -> Result<i64, DecodeError> {
    let error = |found| mismatch(format!("header {name}"), "an event time in milliseconds", found);
    let value = headers.header(name).ok_or_else(|| error("nothing"))?;
    let text = std::str::from_utf8(value).map_err(|_| error("bytes that are not UTF-8"))?;
    text.parse().map_err(|_| error("something else"))
}

#[cold]
fn mismatch(place: String, expected: impl Into<String>, found: &'static str) -> DecodeError {
    DecodeError::Mismatch { place, expected: expected.into(), found }
}

fn place(field: &InputField) -> String {
    match &field.source {
        FieldSource::Pointer(pointer) if pointer.is_empty() => "the document".into(),
        FieldSource::Pointer(pointer) => pointer.clone(),
        FieldSource::Payload => "the payload".into(),
        FieldSource::Subject => "the subject".into(),
        FieldSource::Header(name) => format!("header {name}"),
    }
}

fn expected(field: &InputField) -> String {
    match field.kind {
        FieldType::Boolean => "true or false".into(),
        FieldType::S64 => "a 64-bit integer".into(),
        FieldType::F64 => "a number".into(),
        FieldType::Decimal(scale) => {
            format!("a 64-bit decimal with at most {scale} digits behind the point")
        }
        FieldType::Text => "a string".into(),
        FieldType::Bytes => "bytes".into(),
        FieldType::Json => "a JSON value".into(),
    }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "nothing",
        Kind::Null => "null",
        Kind::True | Kind::False => "a boolean",
        Kind::Integer => "an integer",
        Kind::Fraction => "a number with fraction or exponent",
        Kind::Plain | Kind::Escaped => "a string",
        Kind::Object => "an object",
        Kind::Array => "an array",
    }
}

fn number_name(error: NumberError) -> &'static str {
    match error {
        NumberError::Range => "a number out of range",
        NumberError::Digits => "a number with more digits",
    }
}
