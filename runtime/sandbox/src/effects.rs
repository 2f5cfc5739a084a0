//! Checks all that a call returned before anything looks at it: behind this, an index
//! is an index and text is UTF-8. The error is one fact that names the item.

use crate::codec;
use crate::limits::{ELEMENT_BYTES, Limits};
use millstream_core::columns::{
    Blob, Column, Effects, Emitted, Presence, TimerChanges, Values, Written,
};
use millstream_core::description::{Description, FieldType, Output, StateKind};

/// What the call was about.
pub(crate) struct Called<'a> {
    pub description: &'a Description,
    pub limits: &'a Limits,
    /// Records or timers.
    pub records: usize,
    /// Distinct keys.
    pub keys: usize,
}

/// Checks effects against the description and the call.
pub(crate) fn check(effects: &Effects, called: &Called<'_>) -> Result<(), String> {
    let outputs = &called.description.outputs;
    expect("emitted", effects.emitted.len(), outputs.len(), "outputs declared")?;
    let mut bytes = 0;
    let mut items = 0;
    for (emitted, output) in effects.emitted.iter().zip(outputs) {
        check_emitted(emitted, output, called.records)
            .map_err(|e| format!("emitted for {}: {e}", output.name))?;
        items += emitted.causes.len();
        bytes += emitted.columns.iter().map(|c| byte_len(&c.values)).sum::<usize>();
    }
    let limit = called.limits.output_items_per_record.saturating_mul(called.records);
    if items > limit {
        return Err(format!(
            "{items} items are emitted; the limit for {} records is {limit}",
            called.records
        ));
    }
    let limit = called.limits.output_bytes_per_record.saturating_mul(called.records);
    if bytes > limit {
        return Err(format!(
            "{bytes} bytes are emitted; the limit for {} records is {limit}",
            called.records
        ));
    }
    let mut states = called.description.states.iter().filter(|s| s.kind == StateKind::Value);
    expect("written", effects.written.len(), states.clone().count(), "value states declared")?;
    for (written, state) in effects.written.iter().zip(&mut states) {
        check_written(written, called.keys)
            .map_err(|e| format!("written to {}: {e}", state.name))?;
    }
    check_timers(&effects.timer_changes, called).map_err(|e| format!("timer changes: {e}"))
}

fn expect(what: &str, found: usize, expected: usize, unit: &str) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} has {found} entries; there are {expected} {unit}"))
    }
}

fn check_causes(causes: &[u32], records: usize) -> Result<(), String> {
    if !causes.is_sorted() {
        return Err("the causes do not ascend".into());
    }
    match causes.last() {
        Some(&last) if last as usize >= records => {
            Err(format!("a cause is {last}; the call has {records} records"))
        }
        _ => Ok(()),
    }
}

fn check_emitted(emitted: &Emitted, output: &Output, records: usize) -> Result<(), String> {
    check_causes(&emitted.causes, records)?;
    expect("columns", emitted.columns.len(), output.fields.len(), "fields declared")?;
    for (column, field) in emitted.columns.iter().zip(&output.fields) {
        check_column(column, field.kind, field.optional, emitted.causes.len())
            .map_err(|e| format!("field {}: {e}", field.name))?;
    }
    Ok(())
}

fn check_column(
    column: &Column,
    kind: FieldType,
    optional: bool,
    items: usize,
) -> Result<(), String> {
    check_presence(&column.present, items)?;
    if !optional && let Some(absent) = first_absent(&column.present, items) {
        return Err(format!("item {absent} is absent and the field is not optional"));
    }
    let length = match (kind, &column.values) {
        (FieldType::Boolean, Values::Booleans(values)) => {
            if let Some(at) = values.iter().position(|&v| v > 1) {
                return Err(format!("item {at} is {}, neither 0 nor 1", values[at]));
            }
            values.len()
        }
        (FieldType::S64 | FieldType::Decimal(_), Values::Integers(values)) => values.len(),
        (FieldType::F64, Values::Floats(values)) => values.len(),
        (FieldType::Text, Values::Blobs(blob)) => {
            check_blob(blob)?;
            check_text(blob)?;
            blob.len()
        }
        (FieldType::Bytes, Values::Blobs(blob)) => {
            check_blob(blob)?;
            blob.len()
        }
        (FieldType::Json, Values::Blobs(blob)) => {
            check_blob(blob)?;
            let is_bad =
                |&i: &usize| i < items && column.present.has(i) && !codec::is_json(blob.get(i));
            if let Some(at) = (0..blob.len()).find(is_bad) {
                return Err(format!("item {at} is not a JSON document"));
            }
            blob.len()
        }
        (kind, _) => return Err(format!("the values are not those of {kind:?}")),
    };
    if length == items {
        Ok(())
    } else {
        Err(format!("the column has {length} items; there are {items} causes"))
    }
}

fn check_presence(present: &Presence, items: usize) -> Result<(), String> {
    let bytes = present.0.len();
    if bytes == 0 || bytes == items.div_ceil(8) {
        return Ok(());
    }
    Err(format!("{bytes} bytes of presence bits do not fit {items} items"))
}

fn first_absent(present: &Presence, items: usize) -> Option<usize> {
    if present.0.is_empty() { None } else { (0..items).find(|&i| !present.has(i)) }
}

fn check_blob(blob: &Blob) -> Result<(), String> {
    let end = blob.ends.last().map_or(0, |&end| end as usize);
    if end != blob.data.len() {
        return Err(format!("the last end is {end}; there are {} bytes of data", blob.data.len()));
    }
    if blob.ends.is_sorted() { Ok(()) } else { Err("the ends do not ascend".into()) }
}

/// Ends must be sorted and within the data.
fn check_text(blob: &Blob) -> Result<(), String> {
    // One check of all is many times faster than one per item; then no item may end within a
    // character.
    let text = std::str::from_utf8(&blob.data).ok();
    let whole = |text: &str| blob.ends.iter().all(|&end| text.is_char_boundary(end as usize));
    if text.is_some_and(whole) {
        return Ok(());
    }
    let is_bad = |&i: &usize| std::str::from_utf8(blob.get(i)).is_err();
    match (0..blob.len()).find(is_bad) {
        Some(at) => Err(format!("item {at} is not UTF-8")),
        None => Ok(()),
    }
}

fn byte_len(values: &Values) -> usize {
    match values {
        Values::Booleans(v) => v.len(),
        Values::Integers(v) => 8 * v.len(),
        Values::Floats(v) => 8 * v.len(),
        Values::Blobs(v) => v.data.len(),
    }
}

fn check_written(written: &Written, keys: usize) -> Result<(), String> {
    let items = written.keys.len();
    check_presence(&written.present, items)?;
    check_blob(&written.items)?;
    if written.items.len() != items {
        return Err(format!("there are {} items for {items} keys", written.items.len()));
    }
    if let Some(key) = written.keys.iter().find(|&&key| key as usize >= keys) {
        return Err(format!("key {key} is written; the call has {keys} keys"));
    }
    // Most guests write their keys in order.
    if !written.keys.is_sorted_by(|a, b| a < b) {
        let mut seen = vec![false; keys];
        for &key in &written.keys {
            if std::mem::replace(&mut seen[key as usize], true) {
                return Err(format!("key {key} is written twice"));
            }
        }
    }
    if written.items.data.len() > ELEMENT_BYTES
        && let Some(large) = written.items.iter().position(|item| item.len() > ELEMENT_BYTES)
    {
        let bytes = written.items.get(large).len();
        return Err(format!(
            "the value of key {} has {bytes} bytes; the limit is {ELEMENT_BYTES}",
            written.keys[large]
        ));
    }
    Ok(())
}

fn check_timers(changes: &TimerChanges, called: &Called<'_>) -> Result<(), String> {
    let items = changes.causes.len();
    if changes.timers.len() != items || changes.times.len() != items {
        return Err(format!(
            "there are {items} causes, {} timers and {} times",
            changes.timers.len(),
            changes.times.len()
        ));
    }
    check_presence(&changes.present, items)?;
    check_causes(&changes.causes, called.records)?;
    let declared = called.description.timers.len();
    if let Some(timer) = changes.timers.iter().find(|&&timer| timer as usize >= declared) {
        return Err(format!("timer {timer} is changed; {declared} are declared"));
    }
    let limit = called.limits.output_items_per_record.saturating_mul(called.records);
    if items > limit {
        return Err(format!(
            "there are {items}; the limit for {} records is {limit}",
            called.records
        ));
    }
    Ok(())
}
