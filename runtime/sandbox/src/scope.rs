//! Lends the call's state to the guest's imports for as long as the call lasts.
//!
//! A store's data must be `'static`, the state is borrowed from the caller: between the two
//! stands a pointer that is set when a call begins and gone when it ends, however it ends.

use millstream_core::udf::CallState;
use std::ptr::NonNull;

/// The state of the running call, if one runs.
#[derive(Default)]
pub(crate) struct Lent {
    state: Option<NonNull<dyn CallState>>,
}

// SAFETY: the pointer is only set within `lend`, which does not return before it is gone, and the
// store it lies in is exclusively borrowed by that call. So whenever `Lent` moves between
// threads, it is empty.
unsafe impl Send for Lent {}

impl Lent {
    /// The state, while a call runs.
    pub fn get(&mut self) -> Option<&mut dyn CallState> {
        // SAFETY: set by `lend`, whose caller holds the exclusive borrow that it was made of and
        // does nothing with it until `lend` returns. The result borrows `self`, so that there is
        // one reference at a time; and it cannot outlive the call because the guest's import,
        // which is all that calls this, does not.
        self.state.map(|mut state| unsafe { state.as_mut() })
    }
}

/// Runs `call` with `state` lent to the slot that `slot` finds in `owner`.
pub(crate) fn lend<O, R>(
    owner: &mut O,
    slot: fn(&mut O) -> &mut Lent,
    state: &mut dyn CallState,
    call: impl FnOnce(&mut O) -> R,
) -> R {
    let state: NonNull<dyn CallState + '_> = NonNull::from(state);
    // SAFETY: only the lifetime changes. `Returned` empties the slot before this function ends,
    // also when `call` panics, so the pointer is never followed after `state` is free again.
    let state: NonNull<dyn CallState> = unsafe {
        std::mem::transmute::<NonNull<dyn CallState + '_>, NonNull<dyn CallState>>(state)
    };
    slot(owner).state = Some(state);
    let returned = Returned { owner, slot };
    call(&mut *returned.owner)
}

struct Returned<'a, O> {
    owner: &'a mut O,
    slot: fn(&mut O) -> &mut Lent,
}

impl<O> Drop for Returned<'_, O> {
    fn drop(&mut self) {
        (self.slot)(self.owner).state = None;
    }
}
