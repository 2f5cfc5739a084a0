//! A broadcast value.

use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache;
use crate::describe::{self, StateKind};
use crate::frame::{Stored, Written, is_present, push_presence};
use crate::state::{Opening, StateField, decode, encode_into};

/// At most one `T` per partition, which handlers of broadcast inputs write and all others read: a field of the struct
/// that `#[udf(broadcast = ...)]` names.
///
/// It comes along with every batch, so it should be small: a few KiB. At most 1 MiB.
pub struct BroadcastValue<T> {
    state: u32,
    /// Nothing while it may be written.
    epoch: Option<u64>,
    stored: Stored,
    /// What was written in this call.
    written: Option<Option<Rc<T>>>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + 'static> BroadcastValue<T> {
    /// The value.
    pub fn get(&self) -> Option<Rc<T>> {
        if let Some(written) = &self.written {
            return written.clone();
        }
        let read = || {
            is_present(&self.stored.present, 0).then(|| Rc::new(decode(self.stored.items.get(0))))
        };
        match self.epoch {
            Some(epoch) => cache::with(epoch, self.state, |held: &mut Option<Option<Rc<T>>>| {
                held.get_or_insert_with(read).clone()
            }),
            None => read(),
        }
    }

    /// Sets the value.
    pub fn set(&mut self, value: T) {
        self.written = Some(Some(Rc::new(value)));
    }

    /// Removes the value.
    pub fn clear(&mut self) {
        self.written = Some(None);
    }
}

impl<T: Serialize + DeserializeOwned + 'static> StateField for BroadcastValue<T> {
    const KIND: StateKind = StateKind::Value;
    const BROADCAST: bool = true;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        states.push(describe::State { broadcast: true, ..named });
    }

    fn open(opening: &mut Opening) -> Self {
        let (state, epoch) = (opening.next_index(), opening.epoch());
        Self { state, epoch, stored: opening.next_value(), written: None, of: PhantomData }
    }

    #[inline]
    fn select(&mut self, _: u32) {}

    fn close(self, written: &mut Vec<Written>) {
        let mut out = Written::default();
        if let Some(value) = self.written {
            push_presence(&mut out.present, 0, value.is_some());
            out.keys.push(0);
            if let Some(value) = value {
                encode_into(&*value, &mut out.items.data);
            }
            out.items.ends.push(out.items.data.len() as u32);
        }
        written.push(out);
    }
}
