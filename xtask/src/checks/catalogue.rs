//! Rule: nothing that is shipped is missing in its list. Every guest of `udfs` has a README that `udfs/README.md` links to,
//! and every folder of `examples` with a pipeline is linked to from `examples/README.md`.

use std::collections::BTreeSet;

use super::Finding;
use super::files::TextFile;

/// The catalogue of the guests.
const UDFS: &str = "udfs/README.md";
/// The list of the examples.
const EXAMPLES: &str = "examples/README.md";

/// Checks all files of the checkout.
pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.text[..]);
    let guests = files.iter().filter(|file| {
        file.path.ends_with("/Cargo.toml") && file.text.contains("crate-type = [\"cdylib\"]")
    });
    let mut findings = Vec::new();
    for guest in folders(guests, "udfs/") {
        let readme = format!("{guest}/README.md");
        if text(&format!("udfs/{readme}")).is_none() {
            findings.push(Finding::new(format!("udfs/{guest}"), "the guest has no README.md"));
        } else if !text(UDFS).is_some_and(|list| list.contains(&format!("]({readme})"))) {
            findings.push(Finding::new(UDFS, format!("the catalogue has no link to {readme}")));
        }
    }
    let pipelines = files.iter().filter(|file| file.path.ends_with("/pipeline.yaml"));
    for example in folders(pipelines, "examples/") {
        if !text(EXAMPLES).is_some_and(|list| list.contains(&format!("]({example})"))) {
            findings.push(Finding::new(EXAMPLES, format!("the list has no link to {example}")));
        }
    }
    findings
}

/// The first folders below `root` that these files are in.
fn folders<'f>(files: impl Iterator<Item = &'f TextFile>, root: &str) -> BTreeSet<&'f str> {
    let below = files.filter_map(|file| file.path.strip_prefix(root));
    below.filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    fn messages(files: &[TextFile]) -> Vec<String> {
        check(files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_linked_is_found() {
        let files = [
            file("udfs/a/Cargo.toml", "[lib]\ncrate-type = [\"cdylib\"]\n"),
            file("udfs/a/README.md", "# a"),
            file("udfs/b/c/Cargo.toml", "[lib]\ncrate-type = [\"cdylib\"]\n"),
            file("udfs/b/README.md", "# b"),
            file("udfs/library/Cargo.toml", "[package]\n"),
            file("udfs/README.md", "[a](a/README.md), [b](b/README.md)"),
            file("examples/e/f/pipeline.yaml", "name: f"),
            file("examples/README.md", "[e](e)"),
        ];
        assert_eq!(messages(&files), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let files = [
            file("udfs/a/Cargo.toml", "[lib]\ncrate-type = [\"cdylib\"]\n"),
            file("udfs/b/Cargo.toml", "[lib]\ncrate-type = [\"cdylib\"]\n"),
            file("udfs/b/README.md", "# b"),
            file("udfs/README.md", "`b`"),
            file("examples/e/pipeline.yaml", "name: e"),
        ];
        assert_eq!(
            messages(&files),
            [
                "udfs/a: the guest has no README.md",
                "udfs/README.md: the catalogue has no link to b/README.md",
                "examples/README.md: the list has no link to e",
            ]
        );
    }
}
