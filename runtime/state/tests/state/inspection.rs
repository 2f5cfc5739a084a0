//! What operators see.

use millstream_core::description::{StateKind, StateSpec, TimeDomain};
use millstream_core::ids::{CommitNumber, key_hash};
use millstream_state::{Budgets, Inspected, Item, KeyContent, KeyedState, Shared, StateError};

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
    let item = |bytes: &[u8]| Item { bytes: bytes.to_vec(), expires_at_ms: None };
    let wanted = vec![
        Inspected {
            state: "l".to_owned(),
            expires_by: None,
            content: KeyContent::List { items: vec![item(b"x"), item(b"y")], length: 3 },
        },
        Inspected {
            state: "v".to_owned(),
            expires_by: Some(TimeDomain::ProcessingTime),
            content: KeyContent::Value(Item { bytes: b"one".to_vec(), expires_at_ms: Some(110) }),
        },
    ];
    assert_eq!(state.inspect(b"a", 2).unwrap(), wanted);
    state.acknowledged(point(1));
    // Everything leaves the cache.
    state.trim().unwrap();
    state.trim().unwrap();
    assert_eq!(state.metrics().cached_keys, 0);
    assert_eq!(state.inspect(b"a", 2).unwrap(), wanted);
    let map = KeyContent::Map { entries: vec![(b"e1".to_vec(), item(b"1"))], more: true };
    assert_eq!(
        state.inspect(b"c", 1).unwrap(),
        [Inspected { state: "m".to_owned(), expires_by: None, content: map }]
    );
    assert_eq!(state.keys(b"", None, 10).unwrap(), [b"a", b"b", b"c"]);
    assert_eq!(state.keys(b"", Some(b"a"), 1).unwrap(), [b"b"]);
    state.begin(CommitNumber(2), 110);
    assert_eq!(state.keys(b"", None, 10).unwrap(), [b"a", b"c"]);
    assert_eq!(state.inspect(b"b", 1).unwrap(), []);
}

#[test]
fn items_of_event_time_states_are_shown_without_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let states = [StateKind::Value, StateKind::List, StateKind::Map].map(|kind| StateSpec {
        ttl_ms: Some(10),
        ttl_domain: TimeDomain::EventTime,
        ..StateSpec::new(format!("{kind:?}"), kind)
    });
    let (mut state, _) = KeyedState::open(dir.path(), &states, &[], &shared).unwrap();
    state.begin(CommitNumber(1), 1_000_000);
    state.set_watermark(90);
    let item = |time: i64| [&time.to_le_bytes()[..], b"item"].concat();
    let mut slots = Vec::new();
    state.slots([(key_hash(b"k"), &b"k"[..])], &mut slots).unwrap();
    state.set_value(slots[0], 0, Some(&item(100)));
    state.list_write(1, b"k", 0, &item(101)).unwrap();
    state.list_write(1, b"k", 1, &item(99)).unwrap();
    state.map_write(2, b"k", b"e", Some(&item(102))).unwrap();
    let seen = |time| Item { bytes: b"item".to_vec(), expires_at_ms: Some(time) };
    let mut found = state.inspect(b"k", 10).unwrap();
    assert!(found.iter().all(|state| state.expires_by == Some(TimeDomain::EventTime)));
    let content: Vec<_> = found.drain(..).map(|state| state.content).collect();
    let map = KeyContent::Map { entries: vec![(b"e".to_vec(), seen(102))], more: false };
    let list = KeyContent::List { items: vec![seen(101), seen(99)], length: 2 };
    assert_eq!(content, [KeyContent::Value(seen(100)), list, map.clone()]);
    state.set_watermark(100);
    let content: Vec<_> =
        state.inspect(b"k", 10).unwrap().into_iter().map(|state| state.content).collect();
    assert_eq!(content, [KeyContent::List { items: vec![seen(101)], length: 1 }, map]);
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
