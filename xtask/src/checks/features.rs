//! Rule: dependencies have the same features whether tests are compiled or not.
//!
//! A feature that only a dev-dependency switches on gives cargo two builds of that crate and of everything above it: one for
//! the binary and one for the tests. With wasmtime and RocksDB in the graph that costs minutes each time. A dependency of the
//! crate `millstream-tests` switches the feature on for both.

use std::collections::BTreeSet;

use super::Finding;

/// Compares the output of `cargo tree --workspace --prefix none --format "{p}|{f}"` without dev-dependencies to the
/// output with them.
pub fn check(without_dev: &str, with_dev: &str) -> Vec<Finding> {
    let with_dev: BTreeSet<&str> = with_dev.lines().map(line).collect();
    let without_dev: BTreeSet<&str> = without_dev.lines().map(line).collect();
    without_dev
        .difference(&with_dev)
        .filter_map(|entry| entry.split_once('|'))
        .map(|(package, features)| {
            let others: Vec<&str> = with_dev
                .iter()
                .filter_map(|entry| entry.split_once('|'))
                .filter(|(other, _)| *other == package)
                .map(|(_, features)| features)
                .collect();
            Finding::new(
                package.trim(),
                format!(
                    "is built twice: with features [{features}] for the binary and [{}] for tests; \
                     make the dev-dependency that adds them a dependency of millstream-tests",
                    others.join("] or [")
                ),
            )
        })
        .collect()
}

/// A line without cargo's mark for a subtree that was shown before.
fn line(text: &str) -> &str {
    text.trim_end().trim_end_matches(" (*)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_features_are_fine() {
        let without = "serde v1.0.0|default,std\nbytes v1.0.0|std\nbytes v1.0.0|std (*)\n";
        let with = "serde v1.0.0|default,std (*)\nbytes v1.0.0|std\nproptest v1.0.0|std\n";
        assert_eq!(check(without, with), []);
    }

    #[test]
    fn a_feature_of_tests_alone_is_found() {
        let found = check("fnv v1.0.7|\n", "fnv v1.0.7|default,std\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "fnv v1.0.7");
        assert!(
            found[0].message.contains("[] for the binary and [default,std] for tests"),
            "{}",
            found[0]
        );
    }
}
