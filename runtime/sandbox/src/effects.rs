//! Checks all that a call returned before anything looks at it: behind this, an index
//! is an index and text is UTF-8. The error is one fact that names the item.

use crate::codec;
use crate::host::element_bytes_min;
use crate::limits::{ELEMENT_BYTES, Limits};
use millstream_core::columns::{
    Blob, Column, Effects, Emitted, Presence, TimerChanges, Values, Written,
};
use millstream_core::description::{Description, FieldType, Output, StateKind};

/// What the call was about.
pub struct Called<'a> {
    pub description: &'a Description,
    pub limits: &'a Limits,
    /// Records or timers.
    pub records: usize,
    /// Distinct keys.
    pub keys: usize,
    /// Whether it was about records of a broadcast input.
    pub broadcast: bool,
}

/// Checks effects against the description and the call.
pub fn check(effects: &Effects, called: &Called<'_>) -> Result<(), String> {
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
        let writable = state.broadcast == called.broadcast;
        if !writable && !written.keys.is_empty() {
            return Err(format!("written to {}: {}", state.name, not_writable(state.broadcast)));
        }
        let keys = if state.broadcast { 1 } else { called.keys };
        check_written(written, keys, element_bytes_min(state))
            .map_err(|e| format!("written to {}: {e}", state.name))?;
    }
    check_timers(&effects.timer_changes, called).map_err(|e| format!("timer changes: {e}"))
}

/// Why a state may not be written where it was.
pub(crate) fn not_writable(broadcast: bool) -> &'static str {
    if broadcast {
        "a broadcast state is written from a broadcast input only"
    } else {
        "a broadcast record has no key, and so no keyed state"
    }
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

/// `bytes_min`: what an item that is present has at least.
fn check_written(written: &Written, keys: usize, bytes_min: usize) -> Result<(), String> {
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
    let is_short = |&i: &usize| written.present.has(i) && written.items.get(i).len() < bytes_min;
    if bytes_min > 0
        && let Some(short) = (0..items).find(is_short)
    {
        return Err(format!(
            "the value of key {} has {} bytes, and begins with {bytes_min} that say when it expires",
            written.keys[short],
            written.items.get(short).len()
        ));
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
    if called.broadcast && items > 0 {
        return Err("a broadcast record has no key, and so no timers".into());
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoder;
    use millstream_core::description::{OutputField, StateSpec, TimeDomain, TimerSpec};
    use proptest::collection::vec;
    use proptest::prelude::*;

    const KINDS: [FieldType; 7] = [
        FieldType::Boolean,
        FieldType::S64,
        FieldType::F64,
        FieldType::Decimal(18),
        FieldType::Text,
        FieldType::Json,
        FieldType::Bytes,
    ];

    /// An output with a field of each kind, a raw one, a value state and a timer.
    fn description() -> Description {
        let field = |(i, kind): (usize, &FieldType)| OutputField {
            name: format!("field{i}"),
            kind: *kind,
            optional: i % 2 == 0,
        };
        let mixed = KINDS[..6].iter().enumerate().map(field).collect();
        let raw = vec![OutputField { name: "raw".into(), kind: FieldType::Bytes, optional: false }];
        Description {
            outputs: [mixed, raw].map(|fields| Output { name: "out".into(), fields }).into(),
            states: vec![StateSpec::new("s", StateKind::Value)],
            timers: vec![TimerSpec { name: "t".into(), domain: TimeDomain::EventTime }],
            ..Description::default()
        }
    }

    #[test]
    fn an_item_that_expires_by_event_time_begins_with_its_time() {
        let written = |items: &[&[u8]], present: u8| {
            let mut blob = Blob::default();
            items.iter().for_each(|item| blob.push(item));
            let keys = (0..items.len() as u32).collect();
            Written { keys, present: Presence(vec![present]), items: blob }
        };
        assert_eq!(check_written(&written(&[&[0; 8], &[]], 0b01), 2, 8), Ok(()));
        assert_eq!(check_written(&written(&[&[0; 8], &[0; 7]], 0b11), 2, 0), Ok(()));
        let refused = check_written(&written(&[&[0; 8], &[0; 7]], 0b11), 2, 8);
        assert_eq!(
            refused,
            Err("the value of key 1 has 7 bytes, and begins with 8 that say when it expires".into())
        );
    }

    /// Mostly of `items` items and right, now and then wrong in one way or another.
    fn blob(items: usize) -> impl Strategy<Value = Blob> {
        let item = prop_oneof![
            60 => prop::sample::select(vec!["1", "{}", "[1]", "\"\u{e4}\""]).prop_map(|t| t.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..3),
        ];
        (vec(item, items), any::<(u8, u8, u8)>()).prop_map(|(items, (chance, at, by))| {
            let mut blob = Blob::default();
            items.iter().for_each(|item| blob.push(item));
            match chance {
                0..10 if !blob.is_empty() => {
                    let at = usize::from(at) % blob.len();
                    blob.ends[at] = blob.ends[at].wrapping_add(u32::from(by)).wrapping_sub(100);
                }
                10..20 => drop(blob.ends.pop()),
                20..30 => blob.data.push(by),
                _ => {}
            }
            blob
        })
    }

    fn presence(items: usize) -> impl Strategy<Value = Presence> {
        prop_oneof![
            40 => Just(Vec::new()),
            5 => vec(any::<u8>(), items.div_ceil(8)),
            1 => vec(any::<u8>(), 0..4),
        ]
        .prop_map(Presence)
    }

    fn column(kind: FieldType, items: usize) -> impl Strategy<Value = Column> {
        let length = prop_oneof![20 => Just(items), 1 => 0..3usize];
        let kind = prop_oneof![20 => Just(kind), 1 => prop::sample::select(&KINDS[..])];
        (length, kind, presence(items)).prop_flat_map(|(length, kind, present)| {
            let values = match kind {
                FieldType::Boolean => vec(prop_oneof![20 => 0..2u8, 1 => Just(2)], length)
                    .prop_map(Values::Booleans)
                    .boxed(),
                FieldType::S64 | FieldType::Decimal(_) => {
                    vec(any::<i64>(), length).prop_map(Values::Integers).boxed()
                }
                FieldType::F64 => vec(any::<f64>(), length).prop_map(Values::Floats).boxed(),
                FieldType::Text | FieldType::Json | FieldType::Bytes => {
                    blob(length).prop_map(Values::Blobs).boxed()
                }
            };
            values.prop_map(move |values| Column { present: present.clone(), values })
        })
    }

    fn causes(records: u32) -> impl Strategy<Value = Vec<u32>> {
        vec(prop_oneof![40 => 0..records, 1 => Just(records)], 0..12).prop_map(|mut causes| {
            causes.sort();
            causes
        })
    }

    fn emitted(kinds: &'static [FieldType], records: u32) -> impl Strategy<Value = Emitted> {
        causes(records).prop_flat_map(move |causes| {
            let columns: Vec<_> = kinds.iter().map(|kind| column(*kind, causes.len())).collect();
            columns.prop_map(move |columns| Emitted { causes: causes.clone(), columns })
        })
    }

    fn effects(records: u32, keys: u32) -> impl Strategy<Value = Effects> {
        let written = vec(0..keys + 1, 0..3).prop_flat_map(|keys| {
            (presence(keys.len()), blob(keys.len())).prop_map(move |(present, items)| Written {
                keys: keys.clone(),
                present,
                items,
            })
        });
        let timers = causes(records).prop_flat_map(|causes| {
            let n = causes.len();
            (vec(prop_oneof![20 => Just(0u32), 1 => Just(1)], n), vec(any::<i64>(), n), presence(n))
                .prop_map(move |(timers, times, present)| TimerChanges {
                    causes: causes.clone(),
                    timers,
                    times,
                    present,
                })
        });
        (emitted(&KINDS[..6], records), emitted(&KINDS[6..], records), written, timers).prop_map(
            |(mixed, raw, written, timer_changes)| Effects {
                emitted: vec![mixed, raw],
                written: vec![written],
                timer_changes,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Nothing panics in the check, nor behind it.
        #[test]
        fn what_passes_can_be_used(effects in effects(5, 3)) {
            let description = description();
            let limits = Limits::default();
            let called = Called {
            description: &description,
            limits: &limits,
            records: 5,
            keys: 3,
            broadcast: false,
        };
            if check(&effects, &called).is_err() {
                return Ok(());
            }
            for (output, emitted) in description.outputs.iter().zip(&effects.emitted) {
                let encoder = Encoder::new(output);
                for i in 0..emitted.causes.len() {
                    prop_assert!(emitted.causes[i] < 5);
                    let mut line = Vec::new();
                    encoder.encode(emitted, i, &mut line);
                    prop_assert!(encoder.is_raw() || codec::is_json(&line));
                }
            }
            let written = &effects.written[0];
            for (i, key) in written.keys.iter().enumerate() {
                prop_assert!(*key < 3 && written.items.get(i).len() <= ELEMENT_BYTES);
                written.present.has(i);
            }
            let changes = &effects.timer_changes;
            for i in 0..changes.causes.len() {
                prop_assert!(changes.causes[i] < 5 && changes.timers[i] == 0);
                changes.present.has(i);
            }
        }
    }

    #[test]
    fn some_generated_effects_pass() {
        use proptest::strategy::ValueTree;
        use proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let description = description();
        let limits = Limits::default();
        let called = Called {
            description: &description,
            limits: &limits,
            records: 5,
            keys: 3,
            broadcast: false,
        };
        let passed = (0..3000)
            .filter(|_| {
                check(&effects(5, 3).new_tree(&mut runner).unwrap().current(), &called).is_ok()
            })
            .count();
        assert!((100..2900).contains(&passed), "{passed} of 3000 pass");
    }
}
