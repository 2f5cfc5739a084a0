//! Rule: a source file begins with its story, a `//!` comment.

use super::Finding;
use super::files::TextFile;

/// Checks one source file.
pub fn check(file: &TextFile) -> Option<Finding> {
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let documented = first.strip_prefix("//!").is_some_and(|doc| !doc.trim().is_empty());
    (!documented).then(|| {
        Finding::new(
            format!("{}:1", file.path),
            "the file must begin with a `//!` comment that says what it is for",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile { path: "a/src/lib.rs".into(), text: text.into() }
    }

    #[test]
    fn the_first_line_is_the_doc() {
        assert_eq!(check(&file("//! Keyed state.\n\nuse std::fs;\n")), None);
        assert_eq!(check(&file("\n//! Keyed state.\n")), None);
    }

    #[test]
    fn code_an_empty_doc_and_a_plain_comment_are_findings() {
        for text in ["use std::fs;\n//! Late.\n", "", "//!\n", "// Keyed state.\n"] {
            assert!(check(&file(text)).is_some(), "{text:?}");
        }
    }
}
