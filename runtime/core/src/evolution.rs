//! Which module may go on with what another has kept: states by name and place, timers by place.
//!
//! Elements are migrated when they are read, not when a module is swapped in. So those of older versions stay for as long as
//! nobody writes them, and the new module must read everything that the old one could have read too.

use crate::description::{Description, StateKind, StateSpec, TimeDomain, TimerSpec};

/// Why a module cannot go on with what another has kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A state is gone.
    #[error("the new module does not declare the state `{name}`")]
    StateRemoved {
        /// The state.
        name: String,
    },
    /// A state is of another kind.
    #[error("state `{name}` is a {before}, not a {now}")]
    StateKind {
        /// The state.
        name: String,
        /// What is kept.
        before: &'static str,
        /// What is declared now.
        now: &'static str,
    },
    /// A state's elements expire by another clock, and are laid out accordingly.
    #[error("elements of state `{name}` expire by {before}, not by {now}")]
    StateClock {
        /// The state.
        name: String,
        /// What is kept.
        before: &'static str,
        /// What is declared now.
        now: &'static str,
    },
    /// Elements of a version may be kept that is not read.
    #[error(
        "state `{name}` may hold elements of schema version {kept}, which the new module, whose version is {version}, does not read"
    )]
    StateVersion {
        /// The state.
        name: String,
        /// A version that may be kept.
        kept: u32,
        /// The new module's own.
        version: u32,
    },
    /// States have other places.
    #[error("the new module must declare first, in this order, the states {}", names.join(", "))]
    StateOrder {
        /// In the order in which they are kept.
        names: Vec<String>,
    },
    /// A timer follows another clock.
    #[error("timer `{name}` follows {before}, not {now}")]
    TimerClock {
        /// The timer.
        name: String,
        /// What is kept.
        before: &'static str,
        /// What is declared now.
        now: &'static str,
    },
    /// A timer is gone or has another place.
    #[error("the new module must declare the timer `{name}` at place {place}")]
    TimerMoved {
        /// The timer.
        name: String,
        /// Its place, counted from 1.
        place: usize,
    },
}

/// All reasons why `new` cannot go on with what `old` has kept.
pub fn misfits(old: &Description, new: &Description) -> Vec<Misfit> {
    let mut misfits = states(&old.states, &new.states);
    misfits.extend(timers(&old.timers, &new.timers));
    misfits
}

fn states(old: &[StateSpec], new: &[StateSpec]) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    let (mut complete, mut in_place) = (true, true);
    for (index, before) in old.iter().enumerate() {
        match new.iter().position(|after| after.name == before.name) {
            Some(place) => {
                in_place &= place == index;
                state(before, &new[place], &mut misfits);
            }
            None => {
                complete = false;
                misfits.push(Misfit::StateRemoved { name: before.name.clone() });
            }
        }
    }
    if complete && !in_place {
        let names = old.iter().map(|state| state.name.clone()).collect();
        misfits.push(Misfit::StateOrder { names });
    }
    misfits
}

fn state(before: &StateSpec, after: &StateSpec, misfits: &mut Vec<Misfit>) {
    let name = || before.name.clone();
    let (kind_before, kind_now) = (kind(before), kind(after));
    if kind_before != kind_now {
        misfits.push(Misfit::StateKind { name: name(), before: kind_before, now: kind_now });
    }
    if before.expires_by_event_time() != after.expires_by_event_time() {
        let (before, now) = (clock(before), clock(after));
        misfits.push(Misfit::StateClock { name: name(), before, now });
    }
    let version = after.schema_version;
    let is_read = |kept: &u32| *kept == version || after.reads.contains(kept);
    let mut kept = [before.schema_version].into_iter().chain(before.reads.iter().copied());
    if let Some(kept) = kept.find(|kept| !is_read(kept)) {
        misfits.push(Misfit::StateVersion { name: name(), kept, version });
    }
}

fn timers(old: &[TimerSpec], new: &[TimerSpec]) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    for (index, before) in old.iter().enumerate() {
        let name = before.name.clone();
        match new.get(index) {
            Some(after) if after == before => {}
            Some(after) if after.name == before.name => misfits.push(Misfit::TimerClock {
                name,
                before: domain_name(before.domain),
                now: domain_name(after.domain),
            }),
            _ => misfits.push(Misfit::TimerMoved { name, place: index + 1 }),
        }
    }
    misfits
}

fn kind(state: &StateSpec) -> &'static str {
    match (state.broadcast, state.kind) {
        (false, kind) => kind_name(kind),
        (true, StateKind::Value) => "broadcast value",
        (true, StateKind::List) => "broadcast list",
        (true, StateKind::Map) => "broadcast map",
    }
}

fn clock(state: &StateSpec) -> &'static str {
    match (state.expires_by_event_time(), state.ttl_ms) {
        (true, _) => "event time",
        (false, Some(_)) => "processing time",
        (false, None) => "no clock",
    }
}

/// As the manifest and the SDK call it.
pub fn kind_name(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Value => "value",
        StateKind::List => "list",
        StateKind::Map => "map",
    }
}

/// As the SDK calls it.
pub fn domain_name(domain: TimeDomain) -> &'static str {
    match domain {
        TimeDomain::EventTime => "event-time",
        TimeDomain::ProcessingTime => "processing-time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(old: StateSpec, new: StateSpec) -> Vec<String> {
        let of = |state| Description { states: vec![state], ..Description::default() };
        misfits(&of(old), &of(new)).iter().map(ToString::to_string).collect()
    }

    fn at(schema_version: u32, reads: &[u32]) -> StateSpec {
        StateSpec { schema_version, reads: reads.to_vec(), ..StateSpec::new("s", StateKind::Value) }
    }

    #[test]
    fn whatever_may_be_left_must_be_readable() {
        let fits: [String; 0] = [];
        assert_eq!(verdict(at(1, &[]), at(2, &[1])), fits);
        assert_eq!(verdict(at(2, &[1]), at(3, &[1, 2])), fits);
        assert_eq!(verdict(at(2, &[]), at(3, &[2])), fits);
        let unread = |kept, version| {
            [format!(
                "state `s` may hold elements of schema version {kept}, which the new module, whose version is {version}, does not read"
            )]
        };
        assert_eq!(verdict(at(1, &[]), at(2, &[])), unread(1, 2));
        assert_eq!(verdict(at(2, &[1]), at(1, &[])), unread(2, 1));
        // Elements of version 1 that nobody has written since are still there.
        assert_eq!(verdict(at(2, &[1]), at(3, &[2])), unread(1, 3));
        assert_eq!(verdict(at(2, &[1]), at(2, &[])), unread(1, 2));
    }

    #[test]
    fn a_time_to_live_may_change_but_not_its_clock() {
        let ttl = |ttl_ms, ttl_domain| StateSpec { ttl_ms, ttl_domain, ..at(1, &[]) };
        let (event, processing) = (TimeDomain::EventTime, TimeDomain::ProcessingTime);
        let fits: [String; 0] = [];
        assert_eq!(verdict(ttl(None, processing), ttl(Some(5), processing)), fits);
        assert_eq!(verdict(ttl(Some(5), event), ttl(Some(9), event)), fits);
        assert_eq!(
            verdict(ttl(Some(5), processing), ttl(Some(5), event)),
            ["elements of state `s` expire by processing time, not by event time"]
        );
        assert_eq!(
            verdict(ttl(Some(5), event), ttl(None, processing)),
            ["elements of state `s` expire by event time, not by no clock"]
        );
    }
}
