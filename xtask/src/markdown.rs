//! What is asked of a Markdown page: where its links lead, which headings they may lead to, and its blocks of code.

use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

/// A link or an image of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, as it is written.
    pub target: String,
    /// Line in the page, from 1.
    pub line: usize,
    /// Where the target is in the page's text; none if the link has it from elsewhere in the page.
    pub place: Option<Range<usize>>,
}

impl Link {
    /// Its file, relative to the page, and the heading in it. None for what is not a file of the checkout.
    pub fn file(&self) -> Option<(&str, Option<&str>)> {
        if has_scheme(&self.target) {
            return None;
        }
        Some(match self.target.split_once('#') {
            Some((path, heading)) => (path, Some(heading)),
            None => (self.target.as_str(), None),
        })
    }
}

/// Begins with `https:` or the like.
fn has_scheme(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
    })
}

/// A fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub struct Fence {
    /// What stands behind the opening fence.
    pub info: String,
    /// Line of the opening fence, from 1.
    pub line: usize,
}

/// All links and images of a page.
pub fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (event, range) in parser(text).into_offset_iter() {
        let Event::Start(
            Tag::Link { link_type, dest_url, .. } | Tag::Image { link_type, dest_url, .. },
        ) = event
        else {
            continue;
        };
        let place = (link_type == LinkType::Inline)
            .then(|| text[range.clone()].rfind(&*dest_url))
            .flatten()
            .map(|at| range.start + at..range.start + at + dest_url.len());
        let line = line_of(text, range.start);
        links.push(Link { target: dest_url.into_string(), line, place });
    }
    links
}

/// All fenced blocks of a page.
pub fn fences(text: &str) -> Vec<Fence> {
    let blocks = parser(text).into_offset_iter().filter_map(|(event, range)| match event {
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
            Some(Fence { info: info.into_string(), line: line_of(text, range.start) })
        }
        _ => None,
    });
    blocks.collect()
}

/// The names by which links reach the headings of a page: lower case, dashes for spaces, no punctuation, and a number
/// behind those that come again.
pub fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let names = headings(text).into_iter().map(|heading| {
        let name = anchor(&heading);
        let before = seen.entry(name.clone()).or_default();
        *before += 1;
        if *before == 1 { name } else { format!("{name}-{}", *before - 1) }
    });
    names.collect()
}

/// The first heading of a page, without its marks.
pub fn heading(text: &str) -> Option<String> {
    headings(text).into_iter().next()
}

fn headings(text: &str) -> Vec<String> {
    let mut headings = Vec::new();
    let mut open = false;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                open = true;
                headings.push(String::new());
            }
            Event::End(TagEnd::Heading(_)) => open = false,
            Event::Text(part) | Event::Code(part) if open => {
                if let Some(heading) = headings.last_mut() {
                    heading.push_str(&part);
                }
            }
            _ => {}
        }
    }
    headings
}

fn anchor(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_where_they_stand() {
        let text = "# A\n\nSee [b](b.md#c) and `[no](link)`.\n\n```text\n[no](link)\n```\n\n| [d](e/f.md) |\n|---|\n";
        let found = links(text);
        let targets: Vec<_> = found.iter().map(|link| (link.target.as_str(), link.line)).collect();
        assert_eq!(targets, [("b.md#c", 3), ("e/f.md", 9)]);
        for link in &found {
            assert_eq!(text[link.place.clone().expect("inline")], link.target);
        }
        assert_eq!(found[0].file(), Some(("b.md", Some("c"))));
    }

    #[test]
    fn addresses_are_no_files() {
        let files = |text: &str| links(text)[0].file().is_some();
        assert!(!files("[a](https://example.com/x)"));
        assert!(!files("<https://example.com>"));
        assert!(files("[a](x.md)"));
        assert!(files("[a](#here)"));
        assert!(files("![a](x.png)"));
    }

    #[test]
    fn headings_are_reached_by_their_anchors() {
        let text = "# The `ttl` of a state: how long?\n\n## Same\n\n## Same\n\n```text\n# no heading\n```\n";
        assert_eq!(anchors(text), ["the-ttl-of-a-state-how-long", "same", "same-1"]);
    }

    #[test]
    fn fences_have_a_language_or_not() {
        let text = "```rust\nfn a() {}\n```\n\n    indented\n\n- item\n\n  ```\n  x\n  ```\n";
        let found: Vec<_> = fences(text).into_iter().map(|f| (f.info, f.line)).collect();
        assert_eq!(found, [("rust".to_owned(), 1), (String::new(), 9)]);
    }
}
