//! The operator as the rest of the engine sees it: a function from a batch to its
//! effects. The sandbox implements it with wasmtime, tests with native code.

use crate::columns::{Batch, Effects, TimerBatch};

/// Why a call has no effects. The three causes stay apart all the way up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The guest returned `failure` for one record or timer of the batch.
    Failed {
        /// Index in the batch.
        index: u32,
        /// The guest's words.
        message: String,
    },
    /// The guest trapped, ran out of fuel or memory, or returned what the contract
    /// forbids. Which record is to blame is not known if the batch held several.
    Trapped {
        /// What happened, with the guest's panic message and backtrace.
        message: String,
    },
    /// The host could not make the call; the guest is not to blame.
    Host {
        /// What happened.
        message: String,
    },
}

/// Where the reading of a list or map ends: with the item with which one of both is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Number of items.
    pub items: usize,
    /// Bytes of all items, with the keys of map entries.
    pub bytes: usize,
}

impl Limit {
    /// So many items of any size.
    pub fn items(items: usize) -> Self {
        Self { items, bytes: usize::MAX }
    }

    /// Whether so many items of so many bytes in all are enough.
    pub fn is_reached(self, items: usize, bytes: usize) -> bool {
        items >= self.items || bytes >= self.bytes
    }
}

/// List and map states of the keys of the batch at hand. `state` counts the declared states of all
/// kinds, `key` is an index into the batch's distinct keys; both have been checked by the caller. Of a broadcast state, which
/// belongs to no key, `key` is 0.
/// Writes belong to the running call: they count when it returns effects and are dropped otherwise.
pub trait CallState {
    /// The value of a map entry.
    fn map_get(&mut self, state: u32, key: u32, entry: &[u8]) -> Option<Vec<u8>>;
    /// Sets a map entry (`Some`) or removes it (`None`).
    fn map_write(&mut self, state: u32, key: u32, entry: &[u8], value: Option<&[u8]>);
    /// The entries behind `after`, in the order of their keys, up to `limit`.
    fn map_scan(
        &mut self,
        state: u32,
        key: u32,
        after: Option<&[u8]>,
        limit: Limit,
    ) -> Vec<(Vec<u8>, Vec<u8>)>;
    /// Removes all entries of a map.
    fn map_clear(&mut self, state: u32, key: u32);
    /// Number of items of a list.
    fn list_length(&mut self, state: u32, key: u32) -> u64;
    /// The items from `start`, up to `limit`.
    fn list_read(&mut self, state: u32, key: u32, start: u64, limit: Limit) -> Vec<Vec<u8>>;
    /// Sets the item at `index` (at most the length, which appends).
    fn list_write(&mut self, state: u32, key: u32, index: u64, item: &[u8]);
    /// Removes all items of a list.
    fn list_clear(&mut self, state: u32, key: u32);
}

/// A UDF instance. One call at a time.
pub trait Udf {
    /// Processes records. The effects were checked against the description: as many `emitted` and
    /// `written` as declared, indexes in range and ascending where they must, columns of the
    /// declared kinds and equal lengths.
    fn process(&mut self, batch: &Batch, state: &mut dyn CallState) -> Result<Effects, Fault>;
    /// Fires timers; as `process`.
    fn on_timer(&mut self, batch: &TimerBatch, state: &mut dyn CallState)
    -> Result<Effects, Fault>;
    /// Fuel (about one per instruction) that all calls have used, those that failed too. 0 where nothing is metered.
    fn fuel_used(&self) -> u64 {
        0
    }
}
