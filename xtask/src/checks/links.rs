//! Rule: every link of a Markdown page that leads into the checkout leads to a file, a folder or a heading that is there.
//!
//! Addresses on the network are not asked: whether they answer is not ours to decide.

use std::collections::BTreeMap;

use super::Finding;
use super::files::TextFile;
use crate::markdown::{anchors, links};

/// The pages of the checkout and what else links may lead to.
pub struct Targets<'a> {
    /// The headings of each page, by the page's path.
    headings: BTreeMap<&'a str, Vec<String>>,
    /// Whether there is a file or a folder of this path.
    exists: &'a dyn Fn(&str) -> bool,
}

impl<'a> Targets<'a> {
    /// What links may lead to: the text files, and all of which `exists` says so.
    pub fn new(files: &'a [TextFile], exists: &'a dyn Fn(&str) -> bool) -> Self {
        let pages = files.iter().filter(|file| file.is_page());
        let headings = pages.map(|file| (file.path.as_str(), anchors(&file.text))).collect();
        Self { headings, exists }
    }
}

/// Checks the links of one page.
pub fn check(page: &TextFile, targets: &Targets<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in links(&page.text) {
        let Some((path, heading)) = link.file() else { continue };
        let place = format!("{}:{}", page.path, link.line);
        let Some(target) = resolve(&page.path, path) else {
            let message = format!("`{}` leads out of the checkout", link.target);
            findings.push(Finding::new(place, message));
            continue;
        };
        if !(targets.exists)(&target) {
            findings.push(Finding::new(place, format!("`{}`: there is no {target}", link.target)));
            continue;
        }
        let Some((heading, headings)) = heading.zip(targets.headings.get(target.as_str())) else {
            continue;
        };
        if !headings.iter().any(|known| known == heading) {
            let message = format!("`{}`: {target} has no heading #{heading}", link.target);
            findings.push(Finding::new(place, message));
        }
    }
    findings
}

/// The path in the checkout that a link of a page leads to. None if it leads out.
pub fn resolve(page: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let page =
            |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [page("docs/a.md", text), page("docs/b.md", "# B\n\n## Two words\n")];
        let exists = |path: &str| ["docs", "docs/a.md", "docs/b.md", "src/lib.rs"].contains(&path);
        let targets = Targets::new(&files, &exists);
        check(&files[0], &targets).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_there_is_reached() {
        let text =
            "[b](b.md) [b](b.md#two-words) [s](../src/lib.rs) [f](../docs/) [h](#here)\n\n# Here\n";
        assert_eq!(findings(text), [""; 0]);
        assert_eq!(findings("[x](https://example.com/gone)"), [""; 0]);
    }

    #[test]
    fn a_dead_link_is_found_with_its_line() {
        assert_eq!(
            findings("# A\n\n[c](c.md)"),
            ["docs/a.md:3: `c.md`: there is no docs/c.md".to_owned()]
        );
        assert_eq!(
            findings("[b](b.md#three)"),
            ["docs/a.md:1: `b.md#three`: docs/b.md has no heading #three".to_owned()]
        );
        assert_eq!(
            findings("[b](#gone)"),
            ["docs/a.md:1: `#gone`: docs/a.md has no heading #gone".to_owned()]
        );
        assert_eq!(
            findings("[b](../../x)"),
            ["docs/a.md:1: `../../x` leads out of the checkout".to_owned()]
        );
    }
}
