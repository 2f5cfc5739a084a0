//! What operators see.

use millstream_core::description::{StateKind, StateSpec};
use millstream_core::ids::{CommitNumber, key_hash};
use millstream_state::{Budgets, Inspected, KeyContent, KeyedState, Shared, StateError};

use crate::world::point;

#[test]
fn inspection_shows_all_states_and_only_live_keys() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets { cache_bytes: 1, ..Budgets::default() });
    let spec = |name: &str, kind, ttl_ms| StateSpec { ttl_ms, ..StateSpec::new(name, kind) };
    let states = [
        spec("l", StateKind::List, None),
        spec("v", StateKind::Value, Some(10)),
        spec("m", StateKind::Map, None),
    ];
    let (mut state, _) =
        KeyedState::open(&dir.path().join("state"), &states, &[], &shared).unwrap();
    state.begin(CommitNumber(1), 100);
    let mut slots = Vec::new();
    state.slots([(key_hash(b"a"), &b"a"[..]), (key_hash(b"b"), b"b")], &mut slots).unwrap();
    state.set_value(slots[0], 0, Some(b"one"));
    state.set_value(slots[1], 0, Some(b"two"));
    for item in [b"x", b"y", b"z"] {
        let length = state.list_length(0, b"a").unwrap();
        assert_eq!(state.list_write(0, b"a", length, item).unwrap(), Some(length));
    }
    state.map_write(2, b"c", b"e1", Some(b"1")).unwrap();
    state.map_write(2, b"c", b"e2", Some(b"2")).unwrap();
    let wanted = vec![
        Inspected {
            state: "l".to_owned(),
            content: KeyContent::List { items: vec![b"x".to_vec(), b"y".to_vec()], length: 3 },
        },
        Inspected { state: "v".to_owned(), content: KeyContent::Value(b"one".to_vec()) },
    ];
    assert_eq!(state.inspect(b"a", 2).unwrap(), wanted);
    state.acknowledged(point(1));
    // Everything leaves the cache.
    state.trim().unwrap();
    state.trim().unwrap();
    assert_eq!(state.metrics().cached_keys, 0);
    assert_eq!(state.inspect(b"a", 2).unwrap(), wanted);
    let map = KeyContent::Map { entries: vec![(b"e1".to_vec(), b"1".to_vec())], more: true };
    assert_eq!(
        state.inspect(b"c", 1).unwrap(),
        [Inspected { state: "m".to_owned(), content: map }]
    );
    assert_eq!(state.keys(b"", None, 10).unwrap(), [b"a", b"b", b"c"]);
    assert_eq!(state.keys(b"", Some(b"a"), 1).unwrap(), [b"b"]);
    state.begin(CommitNumber(2), 110);
    assert_eq!(state.keys(b"", None, 10).unwrap(), [b"a", b"c"]);
    assert_eq!(state.inspect(b"b", 1).unwrap(), []);
}

#[test]
fn a_state_may_not_change_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let spec = |kind| [StateSpec::new("s", kind)];
    let (mut state, _) = KeyedState::open(dir.path(), &spec(StateKind::Map), &[], &shared).unwrap();
    state.begin(CommitNumber(1), 0);
    state.map_write(0, b"k", b"e", Some(b"v")).unwrap();
    assert!(matches!(
        state.declare(&spec(StateKind::Value), &[]),
        Err(StateError::KindChanged { .. })
    ));
    assert_eq!(state.map_get(0, b"k", b"e").unwrap(), Some(&b"v"[..]));
    state.declare(&[], &[]).unwrap();
    state.acknowledged(point(1));
    state.persist(usize::MAX).unwrap();
    state.close().unwrap();
    let error = KeyedState::open(dir.path(), &spec(StateKind::List), &[], &shared).err().unwrap();
    assert_eq!(error.to_string(), "`s` was declared as map and is now declared as list");
    let (mut state, local) =
        KeyedState::open(dir.path(), &spec(StateKind::Map), &[], &shared).unwrap();
    assert_eq!(local.unwrap().redo_from, point(1));
    assert_eq!(state.map_get(0, b"k", b"e").unwrap(), Some(&b"v"[..]));
}
