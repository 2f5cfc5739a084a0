//! What keyed state holds, in the API's words.

use millstream_control::api::Data;
use millstream_control::api::state::{Content, KeyState, PendingTimer, StateContent};
use millstream_engine::worker::KeyFound;
use millstream_state::{Inspected, KeyContent};

/// What a partition holds for a key.
pub fn key(key: &[u8], found: KeyFound) -> KeyState {
    let KeyFound { partition, states, timers } = found;
    KeyState {
        key: Data(key.to_vec()),
        partition,
        states: states.into_iter().map(state).collect(),
        timers: timers.into_iter().map(|(name, at_ms)| PendingTimer { name, at_ms }).collect(),
    }
}

/// What a state holds for a key.
fn state(found: Inspected) -> StateContent {
    let Inspected { state: name, content } = found;
    let (content, truncated) = match content {
        KeyContent::Value(value) => (Content::Value(Data(value)), false),
        KeyContent::List { items, length } => {
            let truncated = (items.len() as u64) < length;
            (Content::List(items.into_iter().map(Data).collect()), truncated)
        }
        KeyContent::Map { entries, more } => {
            let entries = entries.into_iter().map(|(entry, value)| (Data(entry), Data(value)));
            (Content::Map(entries.collect()), more)
        }
    };
    StateContent { name, content, truncated }
}
