//! What guests return.

use arbitrary::{Result, Unstructured};
use millstream_core::columns::{
    Blob, Column, Effects, Emitted, Presence, TimerChanges, Values, Written,
};
use millstream_core::description::{
    Description, FieldType, Output, OutputField, StateKind, StateSpec, TimeDomain, TimerSpec,
};
use millstream_sandbox::Limits;
use millstream_sandbox::codec::{Encoder, is_json};
use millstream_sandbox::effects::{Called, check};

const RECORDS: usize = 5;
const KEYS: usize = 3;
const KINDS: [FieldType; 6] = [
    FieldType::Boolean,
    FieldType::S64,
    FieldType::F64,
    FieldType::Decimal(18),
    FieldType::Text,
    FieldType::Json,
];

/// What passes the checks can be used: an index is an index, text is UTF-8, JSON is JSON.
pub fn effects(data: &[u8]) {
    let Ok(effects) = some_effects(&mut Unstructured::new(data)) else { return };
    let (description, limits) = (description(), Limits::default());
    let called = Called {
        description: &description,
        limits: &limits,
        records: RECORDS,
        keys: KEYS,
        broadcast: false,
    };
    if check(&effects, &called).is_err() {
        return;
    }
    for (output, emitted) in description.outputs.iter().zip(&effects.emitted) {
        let encoder = Encoder::new(output);
        for item in 0..emitted.causes.len() {
            assert!((emitted.causes[item] as usize) < RECORDS);
            let mut line = Vec::new();
            encoder.encode(emitted, item, &mut line);
            assert!(encoder.is_raw() || is_json(&line), "{}", line.escape_ascii());
        }
    }
    let written = &effects.written[0];
    for (item, key) in written.keys.iter().enumerate() {
        assert!((*key as usize) < KEYS);
        let _ = (written.items.get(item), written.present.has(item));
    }
    let changes = &effects.timer_changes;
    for item in 0..changes.causes.len() {
        assert!((changes.causes[item] as usize) < RECORDS && changes.timers[item] == 0);
        let _ = changes.present.has(item);
    }
}

/// An output with a field of each kind, a raw one, a value state and a timer.
fn description() -> Description {
    let field = |(index, kind): (usize, &FieldType)| OutputField {
        name: format!("field{index}"),
        kind: *kind,
        optional: index % 2 == 0,
    };
    let mixed = KINDS.iter().enumerate().map(field).collect();
    let raw = vec![OutputField { name: "raw".into(), kind: FieldType::Bytes, optional: false }];
    Description {
        outputs: [mixed, raw].map(|fields| Output { name: "out".into(), fields }).into(),
        states: vec![StateSpec::new("s", StateKind::Value)],
        timers: vec![TimerSpec { name: "t".into(), domain: TimeDomain::EventTime }],
        ..Description::default()
    }
}

/// Effects of so many outputs, states and fields as are declared, and of anything in them.
fn some_effects(bytes: &mut Unstructured<'_>) -> Result<Effects> {
    let mixed = emitted(bytes, &KINDS)?;
    let raw = emitted(bytes, &[FieldType::Bytes])?;
    let keys: Vec<u32> = list(bytes, index)?;
    let items = blob(bytes, keys.len())?;
    let written = Written { keys, present: presence(bytes)?, items };
    let causes = list(bytes, index)?;
    let timers =
        column(bytes, causes.len(), |bytes| Ok(u32::from(bytes.arbitrary::<u8>()? == 255)))?;
    let times = column(bytes, causes.len(), |bytes| bytes.arbitrary())?;
    let timer_changes = TimerChanges { causes, timers, times, present: presence(bytes)? };
    Ok(Effects { emitted: vec![mixed, raw], written: vec![written], timer_changes })
}

fn emitted(bytes: &mut Unstructured<'_>, kinds: &[FieldType]) -> Result<Emitted> {
    let causes = list(bytes, index)?;
    let mut columns = Vec::new();
    for kind in kinds {
        let items = causes.len();
        // Now and then another kind than declared.
        let kind = match bytes.arbitrary::<u8>()? {
            chosen @ 250.. => KINDS[usize::from(chosen - 250)],
            _ => *kind,
        };
        let values = match kind {
            FieldType::Boolean => {
                Values::Booleans(column(bytes, items, |b| Ok(b.arbitrary::<u8>()? % 3))?)
            }
            FieldType::S64 | FieldType::Decimal(_) => {
                Values::Integers(column(bytes, items, |b| b.arbitrary())?)
            }
            FieldType::F64 => Values::Floats(column(bytes, items, |b| b.arbitrary())?),
            FieldType::Text | FieldType::Json | FieldType::Bytes => {
                Values::Blobs(blob(bytes, items)?)
            }
        };
        columns.push(Column { present: presence(bytes)?, values });
    }
    Ok(Emitted { causes, columns })
}

/// An index, mostly one that is there.
fn index(bytes: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match bytes.arbitrary::<u8>()? {
        255 => u32::MAX,
        small => u32::from(small % 8),
    })
}

/// Up to seven items.
fn list<T>(
    bytes: &mut Unstructured<'_>,
    item: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let items = usize::from(bytes.arbitrary::<u8>()? % 8);
    column(bytes, items, item)
}

/// So many items, now and then one more.
fn column<T>(
    bytes: &mut Unstructured<'_>,
    items: usize,
    mut item: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let more = usize::from(bytes.arbitrary::<u8>()? == 255);
    (0..items + more).map(|_| item(bytes)).collect()
}

fn presence(bytes: &mut Unstructured<'_>) -> Result<Presence> {
    Ok(Presence(match bytes.arbitrary::<u8>()? {
        0..128 => Vec::new(),
        128..200 => vec![bytes.arbitrary()?],
        _ => vec![bytes.arbitrary()?, bytes.arbitrary()?],
    }))
}

/// So many texts, now and then with an end that is none.
fn blob(bytes: &mut Unstructured<'_>, items: usize) -> Result<Blob> {
    let mut blob = Blob::default();
    let texts: [&[u8]; 6] = [b"1", b"{}", b"[1]", "\"\u{e4}\"".as_bytes(), b"\"", b"\xff"];
    for text in column(bytes, items, |bytes| bytes.choose(&texts).copied())? {
        blob.push(text);
    }
    if let chosen @ 240.. = bytes.arbitrary::<u8>()?
        && !blob.is_empty()
    {
        let at = usize::from(chosen) % blob.len();
        blob.ends[at] = bytes.arbitrary()?;
    }
    Ok(blob)
}
