//! Which id a state or timer has in the database. Ids belong to names and are never reused, so a new
//! module version may declare its states in another order, add some and leave some out; what it
//! leaves out is kept, so that going back to the old version finds it again.

use std::path::Path;

use millstream_core::description::{StateKind, StateSpec, TimeDomain, TimerSpec};
use serde::{Deserialize, Serialize};

use crate::error::StateError;

/// Ids per kind of thing; the id after the last is never used.
const IDS_MAX: usize = 4096;

/// A state known to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownState {
    name: String,
    kind: String,
    /// Column of the row for value states, id of the groups for lists and maps.
    id: u16,
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

/// A declared state, resolved.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub name: String,
    pub kind: StateKind,
    pub id: u16,
    pub ttl_ms: Option<u64>,
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

    /// Resolves declared states, adding new ones.
    pub fn states(&mut self, specs: &[StateSpec]) -> Result<Vec<State>, StateError> {
        specs.iter().map(|spec| self.state(spec)).collect()
    }

    fn state(&mut self, spec: &StateSpec) -> Result<State, StateError> {
        let kind = kind_name(spec.kind);
        let resolved =
            |id| State { name: spec.name.clone(), kind: spec.kind, id, ttl_ms: spec.ttl_ms };
        if let Some(known) = self.states.iter().find(|known| known.name == spec.name) {
            if known.kind != kind {
                return Err(StateError::KindChanged {
                    name: spec.name.clone(),
                    before: known_name(&known.kind),
                    now: kind,
                });
            }
            return Ok(resolved(known.id));
        }
        // Value states are numbered on their own: their ids are columns of a row.
        let id =
            self.states.iter().filter(|known| (known.kind == "value") == (kind == "value")).count();
        let id = checked_id(id)?;
        self.states.push(KnownState { name: spec.name.clone(), kind: kind.to_owned(), id });
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
    fn an_unknown_version_is_named() {
        let error = Catalogue::decode(br#"{"version":9,"states":[],"timers":[]}"#, Path::new("d"))
            .unwrap_err();
        assert!(error.to_string().contains("version 9, known is 1"), "{error}");
    }
}
