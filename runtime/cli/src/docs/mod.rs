//! Tests of the documentation: the generated references are what the code says, and what the pages show in blocks of code is
//! true of this version.
//!
//! - `commands` and `manifest` render the references: the tree of commands, and the JSON Schema of manifests. A test compares
//!   them with the committed pages; with `UPDATE=1` it writes them.
//! - `snippets` reads the blocks of all pages: command lines by the real command line, manifests by the real parser.
//! - `fences` takes the blocks out of a page.
//!
//! Rust in the pages is compiled and run by the SDK's documentation tests (`udf-sdk/src/book.rs`), the tutorial by
//! `tests/it/tutorial.rs`; links and the summary are checked by `cargo xtask tidy`.

mod commands;
mod fences;
mod manifest;
mod snippets;

use std::path::{Path, PathBuf};

/// The root of the checkout.
fn root() -> PathBuf {
    // The folder of the run: the build may come from another checkout.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../..")
}

/// `UPDATE=1` writes the page; otherwise the committed one must be equal.
fn assert_generated(page: &str, text: &str) {
    let path = root().join(page);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a page has a folder")).expect("create");
        std::fs::write(&path, text).expect("write the page");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{page} is not what the code says; run the test with UPDATE=1");
}

/// A text in one line of a table: no line breaks, no cells of its own, and angle brackets that are no HTML.
fn cell(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let parts = joined.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => part.replace('<', "&lt;"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

#[test]
fn a_cell_stays_in_its_table() {
    assert_eq!(cell("a | `b<c>`\n  or <d>"), "a \\| `b<c>` or &lt;d>");
}
