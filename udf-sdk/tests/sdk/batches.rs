//! What the glue makes of a batch, item by item, below the typed level.

use millstream_udf::Udf;
use millstream_udf::contract::{Batch, Blob, Column, Failure, Stored, TimerBatch, Values};
use millstream_udf::prelude::*;

#[derive(Input)]
struct Add {
    n: i64,
}

#[derive(Output)]
struct Sum {
    sum: i64,
    odd: Option<bool>,
}

#[derive(States)]
struct Counter {
    sum: Value<i64>,
}

#[derive(Default)]
struct Adder;

#[udf(state = Counter, outputs = Emit<Sum>)]
impl Adder {
    fn process(
        &self,
        add: Add,
        counter: &mut Counter,
        out: &mut Emit<Sum>,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        ensure!(add.n != 0, "nothing to add");
        let sum = counter.sum.get_or_default();
        *sum += add.n;
        out.emit(Sum { sum: *sum, odd: (*sum % 2 != 0).then_some(true) });
        ctx.set_timer(Self::RESET, ctx.event_time());
        Ok(())
    }

    #[timer(event_time)]
    fn reset(counter: &mut Counter) {
        counter.sum.clear();
    }
}

fn blob(items: &[&[u8]]) -> Blob {
    let mut blob = Blob::default();
    items.iter().for_each(|item| blob.push(item));
    blob
}

fn batch(numbers: &[i64]) -> Batch {
    Batch {
        keys: blob(&[b"a", b"b"]),
        key_of: (0..numbers.len() as u32).map(|i| i % 2).collect(),
        columns: vec![Column { present: vec![], values: Values::Integers(numbers.to_vec()) }],
        values: vec![Stored { present: vec![0b10], items: blob(&[b"", &[1, 20]]) }],
        event_times: (100..).take(numbers.len()).collect(),
        watermarks: vec![0; numbers.len()],
        ..Batch::default()
    }
}

#[test]
fn effects_are_columns_with_causes_presence_and_one_write_per_key() {
    let effects = Adder.process_batch(batch(&[1, 2, 3])).unwrap();
    let emitted = &effects.emitted[0];
    assert_eq!(emitted.causes, [0, 1, 2]);
    assert_eq!(
        emitted.columns[0],
        Column { present: vec![], values: Values::Integers(vec![1, 12, 4]) }
    );
    assert_eq!(
        emitted.columns[1],
        Column { present: vec![0b001], values: Values::Booleans(vec![1, 0, 0]) }
    );
    let written = &effects.written[0];
    // The schema version, and postcard, which writes a signed integer in zigzag form: 4 is 8, 12 is 24.
    assert_eq!(
        (&written.keys[..], &written.present[..], &written.items),
        (&[0, 1][..], &[0b11][..], &blob(&[&[1, 8], &[1, 24]]))
    );
    let changes = &effects.timer_changes;
    assert_eq!(
        (&changes.causes[..], &changes.times[..], &changes.present[..]),
        (&[0, 1, 2][..], &[100, 101, 102][..], &[0b111][..])
    );
}

#[test]
fn a_refused_record_is_named_by_its_index() {
    let failure = Adder.process_batch(batch(&[1, 0, 3])).unwrap_err();
    assert_eq!(failure, Failure { index: 1, message: "nothing to add".into() });
}

#[test]
fn timers_delete_what_was_stored_only() {
    let timers = TimerBatch {
        keys: blob(&[b"a", b"b"]),
        key_of: vec![0, 1],
        timers: vec![0, 0],
        times: vec![1, 2],
        values: vec![Stored { present: vec![0b10], items: blob(&[b"", &[1, 20]]) }],
        ..TimerBatch::default()
    };
    let written = &Adder.fire_timers(timers).unwrap().written[0];
    assert_eq!(
        (&written.keys[..], &written.present[..], written.items.len()),
        (&[1][..], &[0][..], 1)
    );
}

#[test]
fn an_empty_batch_has_empty_effects() {
    let empty = Batch {
        columns: vec![Column { present: vec![], values: Values::Integers(vec![]) }],
        values: vec![Stored::default()],
        ..Batch::default()
    };
    let effects = Adder.process_batch(empty).unwrap();
    assert_eq!(
        (effects.emitted.len(), effects.written.len(), effects.timer_changes.causes.len()),
        (1, 1, 0)
    );
}

#[derive(Output)]
struct Name<'a> {
    key: &'a str,
}

#[udf]
fn name_key(_: Payload<'_>, ctx: &mut Context<'_>, out: &mut Emit<Name<'_>>) -> Result<()> {
    out.emit(Name { key: ctx.key_text()? });
    Ok(())
}

#[test]
fn a_key_that_is_not_text_concerns_its_own_records_only() {
    // The last two are text together, but not each by itself.
    let keys: [&[u8]; 4] = ["é".as_bytes(), b"k", b"\xc3", b"\xa9"];
    let run = |key_of: &[u32], keys: &[&[u8]]| {
        NameKey.process_batch(Batch {
            keys: blob(keys),
            key_of: key_of.to_vec(),
            columns: vec![Column {
                present: vec![],
                values: Values::Blobs(Blob { ends: vec![0; key_of.len()], data: vec![] }),
            }],
            event_times: vec![0; key_of.len()],
            watermarks: vec![0; key_of.len()],
            ..Batch::default()
        })
    };
    assert_eq!(run(&[0, 1, 2], &keys).unwrap_err().index, 2);
    assert_eq!(run(&[0, 1], &keys[..3]).unwrap().emitted[0].causes, [0, 1]);
    let refused = run(&[1, 3], &keys).unwrap_err();
    assert_eq!((refused.index, &refused.message[..]), (1, "the key of 1 bytes is not text"));
}
