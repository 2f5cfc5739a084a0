//! Rule: words that no file of the project holds, because they tie it to one machine or one network, or because they
//! stand for work that is not done.
//!
//! This file must name them, and is the only one that is not read.

use super::Finding;
use super::files::TextFile;

/// This file.
const OWN_PATH: &str = "xtask/src/checks/words.rs";

/// Files that tools write, and the licence.
const NOT_OURS: [&str; 2] = ["Cargo.lock", "LICENSE"];

/// Hosts of package registries: which mirror a machine uses is its owner's choice. In pieces, so that this file
/// names none either.
const HOSTS: [&str; 14] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("debian", ".org"),
    concat!("ubuntu", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
    concat!("quay", ".io"),
    concat!("gcr", ".io"),
    concat!("maven", ".org"),
    concat!("rubygems", ".org"),
];

/// Absolute folders of somebody's machine.
const FOLDERS: [&str; 3] = ["/work/", "/root/", "/Users/"];

/// What Rust code leaves behind when it is not finished.
const UNFINISHED: [&str; 6] = ["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX"];

/// Checks one file, line by line.
pub fn check(file: &TextFile) -> Vec<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if file.path == OWN_PATH || NOT_OURS.contains(&name) {
        return Vec::new();
    }
    let is_rust = file.path.ends_with(".rs");
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut find = |message: String| {
            findings.push(Finding::new(format!("{}:{}", file.path, index + 1), message));
        };
        for host in HOSTS.iter().filter(|host| line.contains(**host)) {
            find(format!(
                "names the registry host {host}: copy it from the machine's configuration instead"
            ));
        }
        for folder in FOLDERS.iter().filter(|folder| has_folder(line, folder)) {
            find(format!("names the folder {folder} of one machine"));
        }
        for word in UNFINISHED.iter().filter(|word| is_rust && has_word(line, word)) {
            find(format!("holds {word}: finish it or take it out"));
        }
    }
    findings
}

/// An absolute path begins there: no name, dot or tilde stands before it.
fn has_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~}*".contains(before))
    })
}

/// The word stands alone, not inside an identifier.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(is_part) && (word.ends_with('(') || !after.starts_with(is_part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = TextFile { path: path.into(), text: text.into() };
        check(&file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_host_is_found_with_its_line() {
        let found =
            findings("docs/setup.md", &format!("first\nsee https://{}/crates/x\n", HOSTS[0]));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with(&format!("docs/setup.md:2: names the registry host {}", HOSTS[0])),
            "{found:?}"
        );
    }

    #[test]
    fn only_absolute_folders_count() {
        assert_eq!(findings("a.md", "cd /work/main").len(), 1);
        assert_eq!(findings("a.md", "`/root/x`").len(), 1);
        assert_eq!(findings("a.md", "wit/work/main, ../work/x, $HOME/root/x"), [""; 0]);
    }

    #[test]
    fn unfinished_code_is_found_in_rust_only() {
        assert_eq!(findings("a.rs", "    todo!()").len(), 1);
        assert_eq!(findings("a.rs", "// TODO: later").len(), 1);
        assert_eq!(findings("a.rs", "mastodon!(); let TODOS = 1;"), [""; 0]);
        assert_eq!(findings("a.md", "a TODO list"), [""; 0]);
    }

    #[test]
    fn lock_files_and_this_file_are_not_read() {
        assert_eq!(findings("Cargo.lock", HOSTS[0]), [""; 0]);
        assert_eq!(findings("udfs/Cargo.lock", HOSTS[0]), [""; 0]);
        assert_eq!(findings(OWN_PATH, HOSTS[0]), [""; 0]);
    }
}
