//! Help pages from the catalogue.

use std::fmt::Write as _;

use super::{Entry, entries};

/// Name of the page that lists all codes.
pub const INDEX_PAGE: &str = "README.md";

/// All pages as (file name, markdown), the index first.
pub fn pages() -> Vec<(String, String)> {
    let entries = entries();
    let mut pages = vec![(INDEX_PAGE.to_owned(), index(&entries))];
    pages.extend(entries.iter().map(|entry| (format!("{}.md", entry.code), page(entry))));
    pages
}

fn index(entries: &[Entry]) -> String {
    let mut text = String::from(
        "# Error codes\n\nOne page per code. A code never changes its meaning.\n\n| code | |\n|---|---|\n",
    );
    for Entry { code, title, .. } in entries {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| [{code}]({code}.md) | {title} |");
    }
    text
}

fn page(entry: &Entry) -> String {
    let Entry { code, title, cause, fix } = entry;
    format!("# {code}: {title}\n\n## Cause\n\n{cause}\n\n## Fix\n\n{fix}\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::pages;

    /// `UPDATE=1` writes the pages; otherwise the committed ones must be equal.
    #[test]
    fn committed_pages_are_the_catalogue() {
        // The folder of the run: the build may come from another checkout.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let folder = Path::new(&package).join("../../docs/errors");
        let pages = pages();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in &pages {
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
        for (name, text) in &pages {
            let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert_eq!(
                &committed, text,
                "docs/errors/{name} is not what the catalogue says; run the test with UPDATE=1"
            );
        }
        let expected: BTreeSet<String> = pages.into_iter().map(|(name, _)| name).collect();
        let found: BTreeSet<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, expected);
    }
}
