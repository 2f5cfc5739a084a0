//! The book: the pages that `docs/SUMMARY.md` lists, and how they are laid out for mdbook.
//!
//! Pages keep their places in the checkout, so the same links lead from one to the other in the repository and in the
//! book. The summary may list pages from outside `docs`. A `README.md` that it lists brings the pages below its folder
//! with it, so that nobody has to list the page of every error code. The first page becomes the book's start as well, at the root:
//! it must lie there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::checks::files::TextFile;
use crate::checks::links::resolve;
use crate::markdown::{heading, links};

/// The folder of the book.
pub const FOLDER: &str = "docs/";

/// The list of its pages.
pub const SUMMARY: &str = "docs/SUMMARY.md";

const INDEX: &str = "README.md";

/// The book as mdbook shall find it.
#[derive(Debug)]
pub struct Book {
    /// The summary, with paths from the root of the checkout and all pages.
    pub summary: String,
    /// Paths of its pages.
    pub pages: BTreeSet<String>,
}

impl Book {
    /// Takes the book out of the files of the checkout.
    pub fn new(files: &[TextFile]) -> Self {
        let text = files.iter().find(|file| file.path == SUMMARY).map_or("", |file| &file.text);
        let listed: BTreeSet<String> =
            links(text).iter().filter_map(|link| resolve(SUMMARY, link.file()?.0)).collect();
        let mut book = Self { summary: String::new(), pages: listed.clone() };
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            // Without its indent, which alone would make it a block of code.
            let link = links(&line[indent..]).into_iter().next();
            let place =
                link.and_then(|link| Some((resolve(SUMMARY, link.file()?.0)?, link.place?)));
            // Writing to a string cannot fail.
            let Some((page, place)) = place else {
                let _ = writeln!(book.summary, "{line}");
                continue;
            };
            let (before, behind) = (&line[..indent + place.start], &line[indent + place.end..]);
            let _ = writeln!(book.summary, "{before}{page}{behind}");
            let Some(folder) = page.strip_suffix(INDEX) else { continue };
            let indent = indent + 2;
            for below in files.iter().filter(|file| file.is_page() && !listed.contains(&file.path))
            {
                if !folder.is_empty() && folder != FOLDER && below.path.starts_with(folder) {
                    let title = heading(&below.text).unwrap_or_else(|| below.path.clone());
                    let _ = writeln!(book.summary, "{:indent$}- [{title}]({})", "", below.path);
                    book.pages.insert(below.path.clone());
                }
            }
        }
        book
    }

    /// A page's text. Links to what is not in the book begin with `elsewhere`: the checkout's root, or where it is
    /// published.
    pub fn page(&self, page: &TextFile, elsewhere: &str) -> String {
        let mut text = page.text.clone();
        let mut found = links(&page.text);
        // From the end, so that places stay what they are.
        found.sort_by_key(|link| link.place.as_ref().map(|place| std::cmp::Reverse(place.start)));
        for link in found {
            let Some((target, place)) = link.file().zip(link.place.clone()) else { continue };
            let (path, heading) = target;
            let Some(target) = resolve(&page.path, path) else { continue };
            if self.pages.contains(&target) {
                continue;
            }
            let index = format!("{target}/{INDEX}");
            let new = if self.pages.contains(&index) {
                format!("{}/{INDEX}", path.trim_end_matches('/'))
            } else {
                format!("{elsewhere}/{target}")
            };
            let heading = heading.map(|heading| format!("#{heading}")).unwrap_or_default();
            text.replace_range(place, &format!("{new}{heading}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn files() -> Vec<TextFile> {
        let summary = "# Summary\n\n[Start](start.md)\n\n- [Errors](errors/README.md)\n  - [First](errors/E1.md)\n- [UDFs](../udfs/README.md)\n";
        vec![
            file("README.md", "# Not in the book\n"),
            file(SUMMARY, summary),
            file("docs/errors/E1.md", "# E1: one\n"),
            file("docs/errors/E2.md", "# E2: two\n"),
            file("docs/errors/README.md", "# Errors\n"),
            file(
                "docs/start.md",
                "[u](../udfs) [a](../udfs/a/README.md#x) [s](../src/lib.rs) [r](../README.md) [e](errors/E2.md)\n",
            ),
            file("udfs/README.md", "# UDFs\n"),
            file("udfs/a/README.md", "# `a`\n"),
        ]
    }

    #[test]
    fn the_summary_brings_what_lies_below_its_pages() {
        let book = Book::new(&files());
        let summary = "# Summary\n\n[Start](docs/start.md)\n\n- [Errors](docs/errors/README.md)\n  - [E2: two](docs/errors/E2.md)\n  \
                       - [First](docs/errors/E1.md)\n- [UDFs](udfs/README.md)\n  - [a](udfs/a/README.md)\n";
        assert_eq!(book.summary, summary);
        assert_eq!(book.pages.len(), 6);
    }

    #[test]
    fn links_out_of_the_book_lead_to_the_repository() {
        let files = files();
        let book = Book::new(&files);
        assert_eq!(
            book.page(&files[5], "https://example.com/m"),
            "[u](../udfs/README.md) [a](../udfs/a/README.md#x) [s](https://example.com/m/src/lib.rs) \
             [r](https://example.com/m/README.md) [e](errors/E2.md)\n"
        );
    }
}
