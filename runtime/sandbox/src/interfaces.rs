//! Which imports a component may have, by name.

use crate::error::ModuleError;
use crate::text::plain;

/// What a message shows of an import's name.
const NAME_BYTES: usize = 256;

/// An interface's name without its version, and the version.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// What the contract offers.
const CONTRACT: [&str; 5] = [
    "millstream:udf/types",
    "millstream:udf/state",
    "millstream:udf/log",
    "millstream:udf/metrics",
    "millstream:udf/config",
];

/// Packages of WASI 0.2 that a language's runtime pulls in and that do nothing here.
const STUBBED: [&str; 5] =
    ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/"];

/// Whether an import is one of WASI's that are stubbed.
pub(crate) fn is_stubbed(name: &str) -> bool {
    STUBBED.iter().any(|package| name.starts_with(package))
}

/// Whether a UDF may have an import of this name.
pub(crate) fn check_import(name: &str) -> Result<(), ModuleError> {
    let (interface, version) = split(name);
    let forbidden = |allowed| {
        Err(ModuleError::ForbiddenImport { name: plain(name, NAME_BYTES).into_owned(), allowed })
    };
    if CONTRACT.contains(&interface) {
        return match version.strip_prefix("0.1.") {
            Some(_) => Ok(()),
            None => forbidden("this host has millstream:udf@0.1"),
        };
    }
    if is_stubbed(interface) {
        return match version.strip_prefix("0.2.") {
            Some(_) => Ok(()),
            None => forbidden("of WASI, version 0.2 is tolerated"),
        };
    }
    if interface.starts_with("wasi:") {
        return forbidden("a UDF has no network and no other outside world");
    }
    forbidden("allowed are state, log, metrics and config of millstream:udf@0.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in
            ["millstream:udf/state@0.1.0", "millstream:udf/types@0.1.7", "wasi:io/streams@0.2.6"]
        {
            assert_eq!(check_import(good), Ok(()));
        }
        for bad in [
            "millstream:udf/state@0.2.0",
            "millstream:udf/network@0.1.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/streams@0.3.0",
            "acme:secrets/store",
            "run",
        ] {
            let error = check_import(bad).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}
