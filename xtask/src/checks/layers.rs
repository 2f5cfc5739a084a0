//! Rule: the direction of dependencies between our crates, and what the core may depend on at all.
//!
//! `core <- state, sandbox, log <- engine <- control <- cli`: a crate sees those to its left, and never a neighbour.

use cargo_metadata::{DependencyKind, Metadata};

use super::Finding;

/// Our crates, and which of ours each may depend on. A new crate finds its place here first.
const MAY_SEE: [(&str, &[&str]); 14] = [
    (CORE, &[]),
    ("millstream-state", &[CORE]),
    ("millstream-sandbox", &[CORE]),
    ("millstream-log", &[CORE]),
    ("millstream-engine", &[CORE, "millstream-state", "millstream-sandbox", "millstream-log"]),
    (
        "millstream-control",
        &[CORE, "millstream-state", "millstream-sandbox", "millstream-log", "millstream-engine"],
    ),
    (
        "millstream",
        &[
            CORE,
            "millstream-state",
            "millstream-sandbox",
            "millstream-log",
            "millstream-engine",
            "millstream-control",
        ],
    ),
    // Guests: the host and they share the contract in `wit`, and no code.
    ("millstream-udf", &["millstream-udf-macros"]),
    ("millstream-udf-macros", &[]),
    // The list of hostile guests, which tests of any crate may see and which the guests themselves share.
    (HOSTILE, &[]),
    // Nobody depends on these.
    (
        "millstream-tests",
        &[
            CORE,
            "millstream-state",
            "millstream-sandbox",
            "millstream-log",
            "millstream-engine",
            "millstream-control",
            "millstream",
            "millstream-udf",
            HOSTILE,
        ],
    ),
    (
        "millstream-bench",
        &[
            CORE,
            "millstream-state",
            "millstream-sandbox",
            "millstream-log",
            "millstream-engine",
            "millstream-control",
            HOSTILE,
        ],
    ),
    (
        "millstream-fuzz",
        &[
            CORE,
            "millstream-state",
            "millstream-sandbox",
            "millstream-engine",
            "millstream-control",
        ],
    ),
    ("xtask", &[]),
];

const CORE: &str = "millstream-core";
const HOSTILE: &str = "millstream-hostile";

/// The only libraries that the core may use: none of them does I/O, or knows a serialisation format.
const CORE_MAY_USE: [&str; 5] = ["blake3", "bytes", "foldhash", "lz4_flex", "thiserror"];

/// A declared dependency of one of our crates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The crate that depends.
    pub from: String,
    /// The crate it depends on.
    pub to: String,
    /// Whether only its tests do.
    pub for_tests: bool,
}

/// Checks the members of the workspace and what they declare.
pub fn check(members: &[String], edges: &[Edge]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        if may_see(member).is_none() {
            findings.push(Finding::new(
                member,
                "this crate has no place in the rule of dependencies (`MAY_SEE` of xtask's layers.rs)",
            ));
        }
    }
    for edge in edges {
        let is_ours = members.contains(&edge.to);
        let for_tests = edge.for_tests && edge.to == HOSTILE;
        let forbidden = is_ours
            && !for_tests
            && may_see(&edge.from).is_some_and(|seen| !seen.contains(&edge.to.as_str()));
        if forbidden {
            findings.push(Finding::new(
                &edge.from,
                format!("depends on {}, against core <- state, sandbox, log <- engine <- control <- cli", edge.to),
            ));
        }
        let not_for_core =
            edge.from == CORE && !edge.for_tests && !CORE_MAY_USE.contains(&edge.to.as_str());
        if not_for_core && !is_ours {
            findings.push(Finding::new(
                CORE,
                format!(
                    "depends on {}; the core may use {} only",
                    edge.to,
                    CORE_MAY_USE.join(", ")
                ),
            ));
        }
    }
    findings
}

/// The facts for [`check`], as cargo tells them. Dependencies of every platform and feature count.
pub fn facts(metadata: &Metadata) -> (Vec<String>, Vec<Edge>) {
    let packages = metadata.workspace_packages();
    let members = packages.iter().map(|package| package.name.to_string()).collect();
    let edges = packages
        .iter()
        .flat_map(|package| {
            package.dependencies.iter().map(|dependency| Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                for_tests: dependency.kind == DependencyKind::Development,
            })
        })
        .collect();
    (members, edges)
}

fn may_see(member: &str) -> Option<&'static [&'static str]> {
    MAY_SEE.iter().find(|(name, _)| *name == member).map(|(_, seen)| *seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(from: &str, to: &str, for_tests: bool) -> Vec<String> {
        let members: Vec<String> = MAY_SEE.iter().map(|(name, _)| (*name).to_owned()).collect();
        let edge = Edge { from: from.into(), to: to.into(), for_tests };
        check(&members, &[edge]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lower_crates_may_be_seen() {
        assert_eq!(findings("millstream-state", CORE, false), [""; 0]);
        assert_eq!(findings("millstream", "millstream-control", false), [""; 0]);
        assert_eq!(findings("millstream-state", "rocksdb", false), [""; 0]);
    }

    #[test]
    fn neighbours_and_higher_crates_may_not() {
        for (from, to) in [
            ("millstream-state", "millstream-log"),
            (CORE, "millstream-state"),
            ("millstream-engine", "millstream-control"),
            ("millstream-engine", "millstream-udf"),
            ("millstream", "xtask"),
        ] {
            let found = findings(from, to, false);
            assert_eq!(found.len(), 1, "{from} -> {to}");
            assert!(found[0].contains(from) && found[0].contains(to), "{found:?}");
        }
        // A test that needs a neighbour belongs to the crate of integration tests.
        assert_eq!(findings("millstream-log", "millstream-sandbox", true).len(), 1);
        assert_eq!(findings("millstream-sandbox", HOSTILE, false).len(), 1);
        assert_eq!(findings("millstream-sandbox", HOSTILE, true), [""; 0]);
    }

    #[test]
    fn the_core_uses_few_libraries() {
        assert_eq!(findings(CORE, "bytes", false), [""; 0]);
        assert_eq!(findings(CORE, "proptest", true), [""; 0]);
        assert_eq!(findings(CORE, "tokio", false).len(), 1);
        assert_eq!(findings(CORE, "serde_json", false).len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_found() {
        let found = check(&["millstream-new".to_owned()], &[]);
        assert_eq!(found.len(), 1);
    }
}
