//! What was read of broadcast states, decoded. It follows from the states alone: while the host passes the same epoch,
//! they are the same.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What was read in one epoch, by index of the state.
#[derive(Default)]
struct Cache {
    epoch: u64,
    states: BTreeMap<u32, Box<dyn Any>>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// Uses what was read of a state in this epoch; `C` is always the same for a state.
pub fn with<C: Default + 'static, R>(epoch: u64, state: u32, read: impl FnOnce(&mut C) -> R) -> R {
    CACHE.with_borrow_mut(|cache| {
        if cache.epoch != epoch {
            cache.epoch = epoch;
            cache.states.clear();
        }
        let held = cache.states.entry(state).or_insert_with(|| Box::new(C::default()));
        match held.downcast_mut::<C>() {
            Some(held) => read(held),
            // Another UDF of this thread, with another state in this place: that is in tests only.
            None => read(&mut C::default()),
        }
    })
}
