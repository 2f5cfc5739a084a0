//! Rule: every dependency may be used under a licence that the policy allows, no banned crate is in the graph, and
//! crates that may exist once only do.

use std::collections::BTreeSet;

use cargo_metadata::Metadata;
use spdx::{Expression, Licensee, ParseMode};

use super::Finding;
use super::policy::{Ban, Policy};

/// A crate of the graph.
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its SPDX expression; `None` where the crate names a file instead.
    pub licence: Option<String>,
}

/// Checks a graph against the policy.
pub fn check(dependencies: &[Dependency], policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut allowed = Vec::new();
    for text in &policy.licenses.allow {
        match Licensee::parse(text) {
            Ok(licence) => allowed.push(licence),
            Err(error) => findings
                .push(Finding::new("deny.toml", format!("licence {text:?}: {}", error.reason))),
        }
    }
    for dependency in dependencies {
        if let Some(message) = licence_fault(dependency, &allowed) {
            findings
                .push(Finding::new(format!("{} {}", dependency.name, dependency.version), message));
        }
    }
    findings.extend(policy.bans.deny.iter().filter_map(|ban| banned(dependencies, ban)));
    findings
}

/// The crates of a resolved graph, ours apart.
pub fn facts(metadata: &Metadata) -> Vec<Dependency> {
    let resolved: BTreeSet<_> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| &node.id).collect();
    metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && resolved.contains(&package.id))
        .map(|package| Dependency {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone(),
        })
        .collect()
}

fn licence_fault(dependency: &Dependency, allowed: &[Licensee]) -> Option<String> {
    let Some(text) = &dependency.licence else {
        return Some("declares no licence by its SPDX identifier".to_owned());
    };
    let expression = match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => {
            return Some(format!(
                "declares {text:?}, which is no SPDX expression: {}",
                error.reason
            ));
        }
    };
    let may_use =
        expression.evaluate(|required| allowed.iter().any(|licence| licence.satisfies(required)));
    (!may_use).then(|| format!("its licence {text:?} is not among those that deny.toml allows"))
}

fn banned(dependencies: &[Dependency], ban: &Ban) -> Option<Finding> {
    let named = dependencies.iter().filter(|dependency| dependency.name == ban.name);
    let versions: BTreeSet<&str> = named.map(|dependency| dependency.version.as_str()).collect();
    let list = versions.into_iter().collect::<Vec<_>>();
    if ban.deny_multiple_versions {
        (list.len() > 1).then(|| {
            Finding::new(&ban.name, format!("is there in versions {}", list.join(" and ")))
        })
    } else {
        (!list.is_empty()).then(|| Finding::new(&ban.name, format!("is banned: {}", ban.reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause"]
        [bans]
        deny = [{ crate = "wasmtime", deny-multiple-versions = true }, { crate = "bincode", reason = "use postcard" }]
    "#;

    fn findings(dependencies: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let policy: Policy = toml::from_str(POLICY).expect("a policy");
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, version, licence)| Dependency {
                name: (*name).into(),
                version: (*version).into(),
                licence: licence.map(Into::into),
            })
            .collect();
        check(&dependencies, &policy).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "Apache-2.0 WITH LLVM-exception",
            "(GPL-2.0-only OR MIT) AND BSD-3-Clause",
        ] {
            assert_eq!(findings(&[("a", "1.0.0", Some(licence))]), [""; 0], "{licence}");
        }
    }

    #[test]
    fn a_licence_that_is_not_allowed_is_found() {
        for licence in [
            Some("GPL-3.0-only"),
            Some("MIT AND GPL-3.0-only"),
            Some("Apache-2.0"),
            Some("my own"),
            None,
        ] {
            assert_eq!(findings(&[("a", "1.0.0", licence)]).len(), 1, "{licence:?}");
        }
    }

    #[test]
    fn a_second_version_is_found_where_it_matters() {
        let mit = Some("MIT");
        assert_eq!(
            findings(&[
                ("wasmtime", "48.0.8", mit),
                ("rand", "0.8.0", mit),
                ("rand", "0.9.0", mit)
            ]),
            [""; 0]
        );
        let found = findings(&[("wasmtime", "48.0.8", mit), ("wasmtime", "47.0.0", mit)]);
        assert_eq!(found, ["wasmtime: is there in versions 47.0.0 and 48.0.8"]);
    }

    #[test]
    fn a_banned_crate_is_found() {
        assert_eq!(
            findings(&[("bincode", "1.3.3", Some("MIT"))]),
            ["bincode: is banned: use postcard"]
        );
    }
}
