//! The imports, as the harness provides them: the host of the thread's running call.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::store::Store;
use crate::describe::StateKind;
use crate::log::Level;

/// Bytes of a list item or map value, at most.
const ELEMENT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a map's entry key, at most.
const ENTRY_KEY_BYTES_MAX: usize = 1024;

/// What the imports reach.
#[derive(Default)]
pub struct Double {
    pub store: Store,
    pub logs: Vec<(Level, String)>,
    pub counters: BTreeMap<String, u64>,
    pub histograms: BTreeMap<String, Vec<f64>>,
}

thread_local! {
    static RUNNING: RefCell<Option<Double>> = const { RefCell::new(None) };
}

/// Runs `call` with `double` behind the imports.
pub fn run<R>(double: &mut Double, call: impl FnOnce() -> R) -> R {
    /// Gives the double back, also when the call panics.
    struct Restore<'d>(&'d mut Double);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            if let Some(double) = RUNNING.take() {
                *self.0 = double;
            }
        }
    }
    RUNNING.set(Some(std::mem::take(double)));
    let _restore = Restore(double);
    call()
}

fn with<R>(use_double: impl FnOnce(&mut Double) -> R) -> R {
    RUNNING.with_borrow_mut(|running| match running {
        Some(double) => use_double(double),
        None => {
            panic!("a UDF's state, metrics and configuration exist only while the harness calls it")
        }
    })
}

/// Logging works everywhere, so that functions under test may log without a harness.
pub fn log_write(level: Level, message: &str) {
    RUNNING.with_borrow_mut(|running| {
        if let Some(double) = running {
            double.logs.push((level, message.to_owned()));
        }
    });
}

pub fn counter_add(name: &str, delta: u64) {
    check_name(name);
    with(|double| *double.counters.entry(name.to_owned()).or_default() += delta);
}

pub fn histogram_record(name: &str, value: f64) {
    check_name(name);
    with(|double| double.histograms.entry(name.to_owned()).or_default().push(value));
}

fn check_name(name: &str) {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    assert!(
        (1..=64).contains(&name.len()) && name.bytes().all(allowed),
        "`{name}` is no name of a metric: use 1 to 64 of a-z, 0-9 and _"
    );
}

fn check_element(bytes: &[u8]) {
    assert!(
        bytes.len() <= ELEMENT_BYTES_MAX,
        "an element of {} bytes is above the limit of {ELEMENT_BYTES_MAX}",
        bytes.len()
    );
}

fn check_entry(entry: &[u8]) {
    assert!(
        entry.len() <= ENTRY_KEY_BYTES_MAX,
        "an entry key of {} bytes is above the limit of {ENTRY_KEY_BYTES_MAX}",
        entry.len()
    );
}

pub fn map_get(state: u32, key: u32, entry: &[u8]) -> Option<Vec<u8>> {
    check_entry(entry);
    with(|double| {
        double
            .store
            .collection(state, key, StateKind::Map)
            .entries
            .get(entry)
            .map(|(value, _)| value.clone())
    })
}

pub fn map_put(state: u32, key: u32, entry: &[u8], value: &[u8]) {
    check_entry(entry);
    check_element(value);
    with(|double| {
        let element = (value.to_vec(), double.store.now());
        double.store.written(state, key, StateKind::Map).entries.insert(entry.to_vec(), element);
    });
}

pub fn map_delete(state: u32, key: u32, entry: &[u8]) {
    with(|double| {
        double.store.written(state, key, StateKind::Map).entries.remove(entry);
    });
}

pub fn map_scan(state: u32, key: u32, after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    use std::ops::Bound::{Excluded, Unbounded};
    let from = after.map_or(Unbounded, Excluded);
    with(|double| {
        let entries = &double.store.collection(state, key, StateKind::Map).entries;
        let range = entries.range::<[u8], _>((from, Unbounded)).take(limit as usize);
        range.map(|(entry, (value, _))| (entry.clone(), value.clone())).collect()
    })
}

pub fn map_clear(state: u32, key: u32) {
    with(|double| double.store.written(state, key, StateKind::Map).entries.clear());
}

pub fn list_length(state: u32, key: u32) -> u64 {
    with(|double| double.store.collection(state, key, StateKind::List).items.len() as u64)
}

pub fn list_read(state: u32, key: u32, start: u64, limit: u32) -> Vec<Vec<u8>> {
    with(|double| {
        let items = &double.store.collection(state, key, StateKind::List).items;
        items
            .iter()
            .skip(start as usize)
            .take(limit as usize)
            .map(|(item, _)| item.clone())
            .collect()
    })
}

pub fn list_append(state: u32, key: u32, item: &[u8]) {
    check_element(item);
    with(|double| {
        let element = (item.to_vec(), double.store.now());
        double.store.written(state, key, StateKind::List).items.push(element);
    });
}

pub fn list_set(state: u32, key: u32, index: u64, item: &[u8]) {
    check_element(item);
    with(|double| {
        let element = (item.to_vec(), double.store.now());
        let items = &mut double.store.written(state, key, StateKind::List).items;
        let length = items.len();
        match items.get_mut(index as usize) {
            Some(place) => *place = element,
            None => panic!("item {index} of a list of {length} was set"),
        }
    });
}

pub fn list_clear(state: u32, key: u32) {
    with(|double| double.store.written(state, key, StateKind::List).items.clear());
}
