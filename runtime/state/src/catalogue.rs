//! Which id a state or timer has in the database. Ids belong to names and are never reused, so a new
//! module version may declare its states in another order, add some and leave some out; what it
//! leaves out is kept, so that going back to the old version finds it again.

use std::path::Path;

use millstream_core::description::{StateKind, StateSpec, TimeDomain, TimerSpec};
use serde::{Deserialize, Serialize};

use crate::error::StateError;

/// Ids per kind of thing; the id after the last is never used.
pub(crate) const IDS_MAX: usize = 4096;

/// A state known to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownState {
    name: String,
    kind: String,
    /// Column of the row for value states, id of the groups for lists and maps.
    id: u16,
    /// Whether items begin with the event time at which they expire.
    #[serde(default)]
    event_time: bool,
    /// Whether a TTL was ever declared. What was written before that was noted says nothing of it.
    #[serde(default)]
    ttl: bool,
    /// Schema versions that items may be of, ascending. None in what was written before they were noted.
    #[serde(default)]
    versions: Vec<u32>,
}

/// A timer known to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownTimer {
    name: String,
    domain: String,
    id: u16,
}

/// All states and timers ever declared for a partition. Kept as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Catalogue {
    version: u32,
    states: Vec<KnownState>,
    timers: Vec<KnownTimer>,
}

const VERSION: u32 = 1;

/// Which ids the rows of another database get: by their own id, per kind of row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    /// Columns of value states.
    pub values: Vec<Option<u16>>,
    groups: Vec<Option<u16>>,
    timers: Vec<Option<u16>>,
}

impl Ids {
    /// The id of a list or map.
    pub fn group(&self, id: u16) -> Option<u16> {
        *self.groups.get(usize::from(id))?
    }

    /// The id of a timer.
    pub fn timer(&self, id: u16) -> Option<u16> {
        *self.timers.get(usize::from(id))?
    }
}

fn put(ids: &mut Vec<Option<u16>>, from: u16, to: u16) {
    let from = usize::from(from);
    ids.resize(ids.len().max(from + 1), None);
    ids[from] = Some(to);
}

/// A declared state, resolved.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub name: String,
    pub kind: StateKind,
    pub id: u16,
    /// Life after a write by processing time; `None` for those of event time, whose items say it themselves.
    pub ttl_ms: Option<u64>,
    /// Whether items begin with the event time at which they expire.
    pub event_time: bool,
}

fn kind_name(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Value => "value",
        StateKind::List => "list",
        StateKind::Map => "map",
    }
}

fn domain_name(domain: TimeDomain) -> &'static str {
    match domain {
        TimeDomain::EventTime => "event-time",
        TimeDomain::ProcessingTime => "processing-time",
    }
}

/// What the items of a state are like, for errors.
fn clock_name(event_time: bool) -> &'static str {
    if event_time { "event time" } else { "processing time, or not at all" }
}

/// The constant that equals a stored name, for errors.
fn known_name(name: &str) -> &'static str {
    ["value", "list", "map", "event-time", "processing-time"]
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("something unknown")
}

impl Catalogue {
    pub fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a catalogue is plain data")
    }

    pub fn decode(bytes: &[u8], dir: &Path) -> Result<Self, StateError> {
        let damaged = |fact: String| StateError::Damaged { dir: dir.to_owned(), fact };
        let catalogue: Self = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("its catalogue is unreadable: {error}")))?;
        if catalogue.version != VERSION {
            return Err(damaged(format!(
                "its catalogue has version {}, known is {VERSION}",
                catalogue.version
            )));
        }
        Ok(catalogue)
    }

    /// Takes over all that another database knows; which ids its rows get here.
    pub fn adopt(&mut self, other: &Self) -> Result<Ids, StateError> {
        let mut ids = Ids::default();
        for known in &other.states {
            let is_value = known.kind == "value";
            let id = match self.states.iter_mut().find(|own| own.name == known.name) {
                Some(own) if own.kind != known.kind => {
                    return Err(StateError::KindChanged {
                        name: known.name.clone(),
                        before: known_name(&own.kind),
                        now: known_name(&known.kind),
                    });
                }
                Some(own) if own.event_time != known.event_time => {
                    return Err(StateError::ClockChanged {
                        name: known.name.clone(),
                        before: clock_name(own.event_time),
                        now: clock_name(known.event_time),
                    });
                }
                Some(own) => {
                    own.ttl |= known.ttl;
                    own.versions.extend(&known.versions);
                    own.versions.sort_unstable();
                    own.versions.dedup();
                    own.id
                }
                None => {
                    let id = self.next_id(is_value)?;
                    self.states.push(KnownState { id, ..known.clone() });
                    id
                }
            };
            let of_kind = if is_value { &mut ids.values } else { &mut ids.groups };
            put(of_kind, known.id, id);
        }
        for known in &other.timers {
            let id = match self.timers.iter().find(|own| own.name == known.name) {
                Some(own) if own.domain != known.domain => {
                    return Err(StateError::KindChanged {
                        name: known.name.clone(),
                        before: known_name(&own.domain),
                        now: known_name(&known.domain),
                    });
                }
                Some(own) => own.id,
                None => {
                    let id = checked_id(self.timers.len())?;
                    self.timers.push(KnownTimer { id, ..known.clone() });
                    id
                }
            };
            put(&mut ids.timers, known.id, id);
        }
        Ok(ids)
    }

    /// Value states are numbered on their own: their ids are columns of a row.
    fn next_id(&self, is_value: bool) -> Result<u16, StateError> {
        checked_id(self.states.iter().filter(|known| (known.kind == "value") == is_value).count())
    }

    /// Resolves declared states, adding new ones.
    pub fn states(&mut self, specs: &[StateSpec]) -> Result<Vec<State>, StateError> {
        specs.iter().map(|spec| self.state(spec)).collect()
    }

    fn state(&mut self, spec: &StateSpec) -> Result<State, StateError> {
        let kind = kind_name(spec.kind);
        let event_time = spec.expires_by_event_time();
        let resolved = |id| State {
            name: spec.name.clone(),
            kind: spec.kind,
            id,
            ttl_ms: spec.ttl_ms.filter(|_| !event_time),
            event_time,
        };
        if let Some(known) = self.states.iter_mut().find(|known| known.name == spec.name) {
            if known.kind != kind {
                return Err(StateError::KindChanged {
                    name: spec.name.clone(),
                    before: known_name(&known.kind),
                    now: kind,
                });
            }
            if known.event_time != event_time {
                return Err(StateError::ClockChanged {
                    name: spec.name.clone(),
                    before: clock_name(known.event_time),
                    now: clock_name(event_time),
                });
            }
            let is_read =
                |version: &u32| *version == spec.schema_version || spec.reads.contains(version);
            if let Some(&kept) = known.versions.iter().find(|version| !is_read(version)) {
                return Err(StateError::VersionUnreadable {
                    name: spec.name.clone(),
                    kept,
                    version: spec.schema_version,
                });
            }
            known.ttl |= spec.ttl_ms.is_some();
            if let Err(place) = known.versions.binary_search(&spec.schema_version) {
                known.versions.insert(place, spec.schema_version);
            }
            return Ok(resolved(known.id));
        }
        let id = self.next_id(kind == "value")?;
        self.states.push(KnownState {
            name: spec.name.clone(),
            kind: kind.to_owned(),
            id,
            event_time,
            ttl: spec.ttl_ms.is_some(),
            versions: vec![spec.schema_version],
        });
        Ok(resolved(id))
    }

    /// The ids of declared timers, adding new ones.
    pub fn timers(&mut self, specs: &[TimerSpec]) -> Result<Vec<u16>, StateError> {
        specs.iter().map(|spec| self.timer(spec)).collect()
    }

    fn timer(&mut self, spec: &TimerSpec) -> Result<u16, StateError> {
        let domain = domain_name(spec.domain);
        if let Some(known) = self.timers.iter().find(|known| known.name == spec.name) {
            if known.domain != domain {
                return Err(StateError::KindChanged {
                    name: spec.name.clone(),
                    before: known_name(&known.domain),
                    now: domain,
                });
            }
            return Ok(known.id);
        }
        let id = checked_id(self.timers.len())?;
        self.timers.push(KnownTimer { name: spec.name.clone(), domain: domain.to_owned(), id });
        Ok(id)
    }

    /// Columns of the value states whose items begin with the event time at which they expire.
    pub fn event_time_columns(&self) -> impl Iterator<Item = usize> {
        let known = self.states.iter().filter(|known| known.kind == "value" && known.event_time);
        known.map(|known| usize::from(known.id))
    }

    /// Whether items of any state may expire.
    pub fn has_ttl(&self) -> bool {
        self.states.iter().any(|known| known.ttl || known.event_time)
    }

    /// Whether any value state was ever declared, that is, whether rows can exist.
    pub fn has_values(&self) -> bool {
        self.states.iter().any(|known| known.kind == "value")
    }
}

fn checked_id(id: usize) -> Result<u16, StateError> {
    if id >= IDS_MAX {
        return Err(StateError::TooManyStates { count: id + 1, limit: IDS_MAX });
    }
    Ok(id as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, kind: StateKind) -> StateSpec {
        StateSpec::new(name, kind)
    }

    #[test]
    fn ids_follow_names_across_versions() {
        let mut catalogue = Catalogue::new();
        let first =
            catalogue.states(&[spec("a", StateKind::Value), spec("m", StateKind::Map)]).unwrap();
        let mut catalogue = Catalogue::decode(&catalogue.encode(), Path::new("d")).unwrap();
        let second = catalogue
            .states(&[
                spec("l", StateKind::List),
                spec("b", StateKind::Value),
                spec("a", StateKind::Value),
            ])
            .unwrap();
        assert_eq!(first.iter().map(|s| s.id).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(second.iter().map(|s| s.id).collect::<Vec<_>>(), [1, 1, 0]);
        let error = catalogue.states(&[spec("m", StateKind::Value)]).unwrap_err();
        assert_eq!(error.to_string(), "`m` was declared as map and is now declared as value");
    }

    #[test]
    fn what_is_kept_must_be_readable() {
        let at = |schema_version, reads: &[u32]| {
            [StateSpec { schema_version, reads: reads.to_vec(), ..spec("s", StateKind::Value) }]
        };
        let mut catalogue = Catalogue::new();
        catalogue.states(&at(1, &[])).unwrap();
        let error = catalogue.states(&at(2, &[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "state `s` may hold items of version 1, which the module, whose version is 2, does not read"
        );
        catalogue.states(&at(2, &[1])).unwrap();
        // Items of version 1 that nobody has changed since are still there.
        assert!(catalogue.states(&at(3, &[2])).is_err());
        assert!(catalogue.states(&at(1, &[])).is_err(), "there may be items of version 2");
        let mut catalogue = Catalogue::decode(&catalogue.encode(), Path::new("d")).unwrap();
        catalogue.states(&at(3, &[1, 2])).unwrap();
    }

    #[test]
    fn a_state_keeps_its_clock() {
        let at =
            |ttl_ms, ttl_domain| [StateSpec { ttl_ms, ttl_domain, ..spec("s", StateKind::List) }];
        let mut catalogue = Catalogue::new();
        catalogue.states(&at(None, TimeDomain::ProcessingTime)).unwrap();
        catalogue.states(&at(Some(5), TimeDomain::ProcessingTime)).unwrap();
        let error = catalogue.states(&at(Some(5), TimeDomain::EventTime)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "items of state `s` expired by processing time, or not at all, and would now by event time"
        );
    }

    #[test]
    fn a_catalogue_without_versions_is_read() {
        let first = br#"{"version":1,"states":[{"name":"s","kind":"value","id":0}],"timers":[]}"#;
        let mut catalogue = Catalogue::decode(first, Path::new("d")).unwrap();
        let states = catalogue.states(&[spec("s", StateKind::Value)]).unwrap();
        assert_eq!((states[0].id, states[0].event_time), (0, false));
    }

    #[test]
    fn an_unknown_version_is_named() {
        let error = Catalogue::decode(br#"{"version":9,"states":[],"timers":[]}"#, Path::new("d"))
            .unwrap_err();
        assert!(error.to_string().contains("version 9, known is 1"), "{error}");
    }
}
