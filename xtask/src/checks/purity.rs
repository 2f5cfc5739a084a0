//! Rule: `millstream-core` decides and does nothing else: no clock, no files, no network, no threads, no randomness of
//! its own. The crate boundary forbids it libraries; this forbids it the standard library's.

use super::Finding;
use super::files::TextFile;
use super::length::without_tests;

/// Where the pure crate is.
const PURE: &str = "runtime/core/src/";

/// What its code must not name, its tests apart.
const IMPURE: [&str; 9] = [
    "SystemTime",
    "Instant::",
    "time::Instant",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::std",
];

/// Checks one source file.
pub fn check(file: &TextFile) -> Vec<Finding> {
    if !file.path.starts_with(PURE) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in without_tests(&file.text).lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for name in IMPURE.iter().filter(|name| code.contains(**name)) {
            findings.push(Finding::new(
                format!("{}:{}", file.path, index + 1),
                format!("uses {name}: the core is handed facts and returns decisions"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&TextFile { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn a_clock_in_the_core_is_found() {
        let text = "//! Doc.\nfn now() { std::time::SystemTime::now(); }\n";
        assert_eq!(findings("runtime/core/src/time.rs", text), 1);
        assert_eq!(findings("runtime/engine/src/time.rs", text), 0);
    }

    #[test]
    fn comments_and_tests_may_speak_of_it() {
        let text = "//! No SystemTime here.\n// std::fs neither.\n#[cfg(test)]\nmod tests {\n  use std::env;\n}\n";
        assert_eq!(findings("runtime/core/src/time.rs", text), 0);
    }
}
