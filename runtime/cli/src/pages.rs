//! The help pages of all codes: `docs/errors/*.md`, embedded by the build script, so that `millstream explain` works where
//! the documentation is not at hand.

// `PAGES`: pairs of a code and its page, in the order of codes.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page of a code, in any case of letters.
pub fn find(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(code)).map(|(_, page)| *page)
}

/// A page's title, without the code that leads it.
pub fn title(page: &str) -> &str {
    let first = page.lines().next().unwrap_or_default().trim_start_matches('#').trim();
    first.split_once(':').map_or(first, |(_, title)| title.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_titled_with_its_code_and_says_what_to_do() {
        for (code, page) in PAGES {
            assert!(
                page.starts_with(&format!("# {code}: ")),
                "{code}: the title is not `# {code}: ...`"
            );
            assert!(page.lines().count() > 4, "{code}: the page is empty");
        }
    }

    /// The codes are written as literals in this crate; each must have its page.
    #[test]
    fn every_code_of_this_crate_has_a_page() {
        let mut sources =
            vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(path) = sources.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("a folder of sources");
                sources.extend(entries.map(|entry| entry.expect("an entry").path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            for (index, _) in text.match_indices("\"MS") {
                let code = &text[index + 1..].split('"').next().expect("a literal");
                if code.len() == 6 {
                    assert!(
                        find(code).is_some(),
                        "{}: {code} has no page in docs/errors",
                        path.display()
                    );
                }
            }
        }
    }
}
