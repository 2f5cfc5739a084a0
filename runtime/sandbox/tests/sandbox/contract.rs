//! Effects that break the contract: each is refused, named, and forgiven.

use crate::support::*;
use millstream_core::udf::Udf;

#[track_caller]
fn refused(commands: &[&str], says: &str) {
    let (mut instance, _) = instance();
    let message = trap(instance.process(&batch(commands), &mut Memory::default()));
    assert!(message.contains(says), "{says:?} is not in {message}");
    instance.process(&batch(&["after"]), &mut Memory::default()).unwrap();
}

#[test]
fn causes() {
    refused(&["bad-cause"], "emitted for echo: a cause is 1000000; the call has 1 records");
    refused(&["descending-causes", "x"], "the causes do not ascend");
    refused(&["bad-timer-cause"], "timer changes: a cause is 9999999");
}

#[test]
fn columns() {
    refused(&["wrong-kind"], "field n: the values are not those of S64");
    refused(&["short-column", "x"], "field n: the column has 1 items; there are 2 causes");
    refused(&["absent"], "field did: item 0 is absent and the field is not optional");
    refused(&["long-presence"], "1000 bytes of presence bits do not fit 1 items");
    refused(&["no-columns"], "columns has 0 entries; there are 2 fields declared");
    refused(&["no-outputs"], "emitted has 0 entries; there are 2 outputs declared");
    refused(&["many-outputs"], "emitted has 10002 entries");
}

#[test]
fn blobs() {
    refused(&["bad-ends"], "the last end is 4294967295");
    refused(&["bad-ends", "x"], "the ends do not ascend");
    refused(&["short-data"], "the last end is 10; there are 9 bytes of data");
    refused(&["non-utf8"], "field did: item 0 is not UTF-8");
    refused(&["split-utf8", "x"], "item 0 is not UTF-8");
    refused(&["bad-json"], "emitted for json: field value: item 0 is not a JSON document");
}

#[test]
fn sizes() {
    refused(&["huge-output"], "the limit for 1 records is 1048576");
    refused(&["overlap"], "too much data is being copied");
    refused(&["many-items"], "1000 items are emitted; the limit for 1 records is 100");
    let (mut instance, _) = instance();
    let commands: Vec<&str> =
        std::iter::once("many-items").chain(std::iter::repeat_n("x", 9)).collect();
    let effects = instance.process(&batch(&commands), &mut Memory::default()).unwrap();
    assert_eq!(effects.emitted[0].causes.len(), 1000);
}

#[test]
fn writes_and_timers() {
    refused(&["bad-key"], "written to count: key 1000000 is written; the call has 1 keys");
    refused(&["key-twice"], "key 0 is written twice");
    refused(&["bad-timer"], "timer 7 is changed; 1 are declared");
    refused(&["short-timers"], "there are 1 causes, 1 timers and 0 times");
    refused(&["fail-elsewhere"], "record 1000000 fails; the call has 1 records");
}
