//! `cargo xtask book`: the documentation as a book of HTML.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::book::Book;
use crate::checks::files;
use crate::process::{run as run_command, say};
use crate::tools::mdbook::mdbook;
use crate::workspace::Workspace;

/// Its settings, and where mdbook looks for them.
const SETTINGS: &str = "book.toml";

/// Where mdbook looks for the pages, and where it leaves the book.
const PAGES: &str = "src";
const HTML: &str = "html";

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Where the sources are shown, for links to files that are no pages of the book; by default this checkout.
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
}

/// The subcommand: lays the pages out in the target folder and has mdbook build them.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let mdbook = mdbook()?;
    let here = format!("file://{}", workspace.root.display());
    let elsewhere = args.repository.as_deref().map_or(&*here, |url| url.trim_end_matches('/'));

    let folder = workspace.target.join("book");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    let files = files::read_all(&workspace.root)?;
    let book = Book::new(&files);
    let pages = folder.join(PAGES);
    for page in files.iter().filter(|file| book.pages.contains(&file.path)) {
        write(&pages.join(&page.path), &book.page(page, elsewhere))?;
    }
    write(&pages.join("SUMMARY.md"), &book.summary)?;
    let settings = workspace.root.join("docs").join(SETTINGS);
    fs::copy(&settings, folder.join(SETTINGS))
        .with_context(|| format!("copy {}", settings.display()))?;

    run_command(Command::new(mdbook).arg("build").arg(&folder))?;
    say(&format!("the book is {}", folder.join(HTML).join("index.html").display()));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a page has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
