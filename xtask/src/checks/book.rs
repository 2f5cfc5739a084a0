//! Rules of the book in `docs`: its summary lists every page once, and every block of code says what it is, because that
//! decides which test runs it.

use std::collections::BTreeSet;

use super::Finding;
use super::files::TextFile;
use super::links::resolve;
use crate::book::{Book, FOLDER, SUMMARY};
use crate::markdown::{fences, links};

/// The file that compiles the Rust of the pages which it includes.
const RUST_OF_PAGES: &str = "udf-sdk/src/book.rs";

/// Its Rust is an excerpt of the project that `millstream new` writes; the test that runs the page compares it.
const TUTORIAL: &str = "docs/tutorial.md";

/// What a block may be, and what becomes of it: Rust is compiled and run, `sh` and the lines behind `$` of `console` are
/// parsed by the real command line, `sh` of the tutorial is run, YAML is read as a manifest, JSON is read. `text` is what a program prints or a sketch.
const LANGUAGES: [&str; 9] =
    ["rust", "sh", "sh background", "console", "yaml", "json", "ndjson", "toml", "text"];

/// Checks the summary against the pages that are there.
pub fn summary(files: &[TextFile]) -> Vec<Finding> {
    let Some(summary) = files.iter().find(|file| file.path == SUMMARY) else {
        return vec![Finding::new(SUMMARY, "the book has no summary")];
    };
    let mut findings = Vec::new();
    let mut listed = BTreeSet::new();
    for link in links(&summary.text) {
        let page = link.file().and_then(|(path, _)| resolve(SUMMARY, path));
        if let Some(page) = page.filter(|page| !listed.insert(page.clone())) {
            let place = format!("{SUMMARY}:{}", link.line);
            findings.push(Finding::new(place, format!("lists {page} again")));
        }
    }
    let book = Book::new(files);
    for file in files.iter().filter(|file| is_page_of_the_book(&file.path)) {
        if !book.pages.contains(&file.path) {
            findings.push(Finding::new(&file.path, format!("{SUMMARY} does not list it")));
        }
    }
    findings
}

fn is_page_of_the_book(path: &str) -> bool {
    path.starts_with(FOLDER) && path.ends_with(".md") && path != SUMMARY
}

/// Checks the blocks of one page of the book, or of the README. `compiled` is the text of [`RUST_OF_PAGES`].
pub fn blocks(page: &TextFile, compiled: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let includes = format!("\"../../{}\"", page.path);
    for fence in fences(&page.text) {
        let place = format!("{}:{}", page.path, fence.line);
        if !LANGUAGES.contains(&fence.info.as_str()) {
            let message =
                format!("a block of `{}`: one of {} is known", fence.info, LANGUAGES.join(", "));
            findings.push(Finding::new(place, message));
        } else if fence.info == "rust" && page.path != TUTORIAL && !compiled.contains(&includes) {
            let message = format!("its Rust is not compiled: include the page in {RUST_OF_PAGES}");
            findings.push(Finding::new(place, message));
        }
    }
    findings
}

/// Checks all that this module knows of.
pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let compiled = files.iter().find(|file| file.path == RUST_OF_PAGES);
    let compiled = compiled.map_or("", |file| file.text.as_str());
    let pages = files.iter().filter(|f| is_page_of_the_book(&f.path) || f.path == "README.md");
    let mut findings = summary(files);
    findings.extend(pages.flat_map(|page| blocks(page, compiled)));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn shown(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_page_is_listed_once() {
        let mut files = vec![
            file(SUMMARY, "- [A](a.md)\n- [E](errors/README.md)\n"),
            file("docs/a.md", ""),
            file("docs/errors/README.md", ""),
            file("docs/errors/MS1001.md", ""),
            file("README.md", ""),
        ];
        assert_eq!(summary(&files), []);
        files.push(file("docs/b.md", ""));
        assert_eq!(shown(&summary(&files)), ["docs/b.md: docs/SUMMARY.md does not list it"]);
        files.pop();
        files[0].text.push_str("- [A again](./a.md)\n");
        assert_eq!(shown(&summary(&files)), ["docs/SUMMARY.md:3: lists docs/a.md again"]);
        assert_eq!(shown(&summary(&[])), ["docs/SUMMARY.md: the book has no summary"]);
    }

    #[test]
    fn every_block_says_what_it_is() {
        let page = |text: &str| file("docs/a.md", text);
        let none = "";
        assert_eq!(blocks(&page("```sh\nls\n```\n"), none), []);
        assert_eq!(blocks(&page("```\nls\n```\n"), none).len(), 1);
        assert_eq!(blocks(&page("```rust,ignore\nfn a() {}\n```\n"), none).len(), 1);
    }

    #[test]
    fn rust_that_nobody_compiles_is_found() {
        let page = file("docs/a.md", "```rust\nfn a() {}\n```\n");
        let found = shown(&blocks(&page, ""));
        assert!(found[0].starts_with("docs/a.md:1: its Rust is not compiled"), "{found:?}");
        assert_eq!(blocks(&page, "a: \"../../docs/a.md\","), []);
    }
}
