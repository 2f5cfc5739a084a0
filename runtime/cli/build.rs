//! Embeds the help pages of `docs/errors`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut pages: Vec<_> = fs::read_dir(&folder)
        .expect("docs/errors holds the help pages")
        .map(|entry| entry.expect("an entry of docs/errors").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| {
            path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("MS"))
        })
        .collect();
    pages.sort();

    let mut table = String::from(
        "/// Code and page, in the order of codes.\npub const PAGES: &[(&str, &str)] = &[\n",
    );
    for page in &pages {
        let code = page.file_stem().expect("a file has a name").to_string_lossy();
        let path = fs::canonicalize(page).expect("the page exists");
        let _ = writeln!(table, "    ({code:?}, include_str!({:?})),", path.display().to_string());
    }
    table.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("pages.rs"), table).expect("write the table of pages");
}
