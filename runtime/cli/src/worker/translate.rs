//! What keyed state holds, in the API's words.

use millstream_control::api::Data;
use millstream_control::api::state::{Content, KeyState, PendingTimer, StateContent};
use millstream_control::manifest::domain_name;
use millstream_engine::worker::KeyFound;
use millstream_state::{Inspected, Item, KeyContent};

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
    let Inspected { state: name, expires_by, content } = found;
    let mut expires_at_ms = Vec::new();
    let mut data = |item: Item| {
        expires_at_ms.push(item.expires_at_ms);
        Data(item.bytes)
    };
    let (content, truncated) = match content {
        KeyContent::Value(value) => (Content::Value(data(value)), false),
        KeyContent::List { items, length } => {
            let truncated = (items.len() as u64) < length;
            (Content::List(items.into_iter().map(data).collect()), truncated)
        }
        KeyContent::Map { entries, more } => {
            let entries = entries.into_iter().map(|(entry, value)| (Data(entry), data(value)));
            (Content::Map(entries.collect()), more)
        }
    };
    if expires_by.is_none() {
        expires_at_ms.clear();
    }
    let expires_by = expires_by.map(|clock| domain_name(clock).to_owned());
    StateContent { name, content, truncated, expires_by, expires_at_ms }
}
