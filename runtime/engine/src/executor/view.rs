//! What a running call sees of lists and maps: the partition's state, with each
//! write also noted in the slice's delta. The caller rolls both back if the call fails.

use millstream_core::columns::Blob;
use millstream_core::delta::{DeltaOp, DeltaWriter};
use millstream_core::description::{BROADCAST_KEY, StateSpec};
use millstream_core::udf::{CallState, Limit};
use millstream_state::{KeyedState, StateError};

pub(super) struct CallView<'a> {
    pub state: &'a mut KeyedState,
    pub delta: &'a mut DeltaWriter,
    /// The batch's distinct keys.
    pub keys: &'a Blob,
    /// The declared states.
    pub states: &'a [StateSpec],
    /// The first thing that went wrong below; the call is then a host fault.
    pub error: Option<StateError>,
}

impl<'a> CallView<'a> {
    /// The key that an element of this state is kept under.
    fn key(&self, state: u32, key: u32) -> &'a [u8] {
        match self.states.get(state as usize) {
            Some(spec) if spec.broadcast => BROADCAST_KEY,
            _ => self.keys.get(key as usize),
        }
    }

    fn keep<T: Default>(&mut self, result: Result<T, StateError>) -> T {
        result.unwrap_or_else(|error| {
            self.error.get_or_insert(error);
            T::default()
        })
    }
}

impl CallState for CallView<'_> {
    fn map_get(&mut self, state: u32, key: u32, entry: &[u8]) -> Option<Vec<u8>> {
        let found = self
            .state
            .map_get(state as u16, self.key(state, key), entry)
            .map(|v| v.map(<[u8]>::to_vec));
        self.keep(found)
    }

    fn map_write(&mut self, state: u32, key: u32, entry: &[u8], value: Option<&[u8]>) {
        let (key, state) = (self.key(state, key), state as u16);
        self.delta.push(&DeltaOp::MapEntry { state, key, entry, value });
        let done = self.state.map_write(state, key, entry, value);
        self.keep(done);
    }

    fn map_scan(
        &mut self,
        state: u32,
        key: u32,
        after: Option<&[u8]>,
        limit: Limit,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let found = self.state.map_scan(state as u16, self.key(state, key), after, limit);
        self.keep(found)
    }

    fn map_clear(&mut self, state: u32, key: u32) {
        let (key, state) = (self.key(state, key), state as u16);
        self.delta.push(&DeltaOp::MapClear { state, key });
        let done = self.state.map_clear(state, key);
        self.keep(done);
    }

    fn list_length(&mut self, state: u32, key: u32) -> u64 {
        let found = self.state.list_length(state as u16, self.key(state, key));
        self.keep(found)
    }

    fn list_read(&mut self, state: u32, key: u32, start: u64, limit: Limit) -> Vec<Vec<u8>> {
        let found = self.state.list_read(state as u16, self.key(state, key), start, limit);
        self.keep(found)
    }

    fn list_write(&mut self, state: u32, key: u32, index: u64, item: &[u8]) {
        let (key, state) = (self.key(state, key), state as u16);
        let written = self.state.list_write(state, key, index, item);
        // The caller has checked the index, so there is a position.
        if let Some(position) = self.keep(written) {
            self.delta.push(&DeltaOp::ListItem { state, key, index: position, value: item });
        }
    }

    fn list_clear(&mut self, state: u32, key: u32) {
        let (key, state) = (self.key(state, key), state as u16);
        self.delta.push(&DeltaOp::ListClear { state, key });
        let done = self.state.list_clear(state, key);
        self.keep(done);
    }
}
