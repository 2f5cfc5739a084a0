//! The text files of the checkout.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders that hold output, not sources.
const SKIPPED: [&str; 5] = [".git", "target", "dist", "node_modules", "__pycache__"];

/// cargo leaves this file in every target folder, whatever its name.
const MARK_OF_A_CACHE: &str = "CACHEDIR.TAG";

/// A text file of the checkout.
pub struct TextFile {
    /// Path relative to the root, with slashes.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl TextFile {
    /// Whether this is a Rust source of a crate: under a folder `src`.
    pub fn is_crate_source(&self) -> bool {
        self.path.ends_with(".rs") && self.path.split('/').any(|part| part == "src")
    }

    /// Whether this is a page of Markdown.
    pub fn is_page(&self) -> bool {
        self.path.ends_with(".md")
    }
}

/// Every file under the root that is UTF-8, in the order of paths.
pub fn read_all(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    read_folder(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<TextFile>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let is_cache = entry.path().join(MARK_OF_A_CACHE).is_file();
            if !is_cache && !SKIPPED.contains(&name.as_str()) {
                read_folder(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(TextFile { path, text });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_binaries_are_not_read() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, bytes) in [
            ("README.md", &b"text"[..]),
            ("a/src/lib.rs", b"//! Doc."),
            ("a/dist/x.wasm", b"text"),
            ("out/CACHEDIR.TAG", b"Signature"),
            ("out/log", b"text"),
            ("image.bin", b"\xff\xfe"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("create");
            fs::write(path, bytes).expect("write");
        }
        let found = read_all(root.path()).expect("read");
        let paths: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["README.md", "a/src/lib.rs"]);
        assert!(found[1].is_crate_source());
    }
}
