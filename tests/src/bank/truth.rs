//! What is true of a bank: what was planted, and totals that must come out again.

use std::collections::{BTreeMap, BTreeSet};

/// What was planted, by use case, and totals by name.
#[derive(Default)]
pub(super) struct Truth {
    planted: BTreeMap<&'static str, BTreeSet<String>>,
    members: BTreeMap<&'static str, BTreeMap<String, String>>,
    totals: BTreeMap<String, i128>,
}

impl Truth {
    /// Something that a use case has to find.
    pub fn plant(&mut self, what: &'static str, name: impl Into<String>) {
        self.planted.entry(what).or_default().insert(name.into());
    }

    /// What a use case has to find.
    pub fn planted(&self, what: &str) -> BTreeSet<String> {
        self.planted.get(what).cloned().unwrap_or_default()
    }

    /// A record that belongs to something planted, by its id.
    pub fn member(&mut self, what: &'static str, id: impl Into<String>, of: impl Into<String>) {
        self.members.entry(what).or_default().insert(id.into(), of.into());
    }

    /// What a record belongs to; if nothing was planted there: the record itself.
    pub fn owner(&self, what: &str, id: &str) -> String {
        let owner = self.members.get(what).and_then(|members| members.get(id));
        owner.map_or_else(|| id.to_owned(), Clone::clone)
    }

    /// Adds to a total.
    pub fn add(&mut self, total: impl Into<String>, more: i64) {
        *self.totals.entry(total.into()).or_default() += i128::from(more);
    }

    /// A total; what was never added to is 0.
    pub fn total(&self, name: &str) -> i128 {
        self.totals.get(name).copied().unwrap_or(0)
    }

    /// Totals whose names begin so, without that beginning.
    pub fn totals(&self, prefix: &str) -> BTreeMap<String, i128> {
        let of =
            self.totals.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        of.map(|(name, total)| (name[prefix.len()..].to_owned(), *total)).collect()
    }
}
