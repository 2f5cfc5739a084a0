//! `cargo xtask tidy`: format, lints, the rules of the code, and the policy on dependencies.
//!
//! The cheap checks come first and report everything they find; clippy, which compiles, comes last.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::checks::policy::Policy;
use crate::checks::{
    Finding, book, catalogue, features, files, layers, length, licences, links, module_docs,
    purity, words,
};
use crate::modules::{self, GuestWorkspace};
use crate::process::{answers, cargo, cargo_program, output, run as run_command, say};
use crate::tools::rust;
use crate::workspace::{Workspace, graph, members};

/// The subcommand.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in
        [("rules", rules as fn(&Workspace) -> Result<()>), ("format", format), ("lints", lints)]
    {
        say(&format!("check the {name}"));
        if let Err(error) = check(workspace) {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("not tidy: {}", failed.join(", "));
    }
    Ok(())
}

/// The workspaces of guests in this checkout.
fn guests(workspace: &Workspace) -> impl Iterator<Item = GuestWorkspace> {
    [modules::SHIPPED, modules::FOR_TESTS].into_iter().filter(|guests| guests.exists(workspace))
}

fn rules(workspace: &Workspace) -> Result<()> {
    let mut findings = Vec::new();
    let files = files::read_all(&workspace.root)?;
    findings.extend(catalogue::check(&files));
    let exists = |path: &str| workspace.root.join(path).exists();
    let targets = links::Targets::new(&files, &exists);
    for file in &files {
        if file.is_crate_source() {
            findings.extend(module_docs::check(file));
            findings.extend(length::check(file));
        }
        if file.is_page() {
            findings.extend(links::check(file, &targets));
        }
        findings.extend(purity::check(file));
        findings.extend(words::check(file));
    }
    findings.extend(book::check(&files));
    match dependencies(workspace) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::new("dependencies", format!("{error:#}"))),
    }
    for finding in &findings {
        eprintln!("  {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 rule is broken"),
        count => bail!("{count} rules are broken"),
    }
}

fn dependencies(workspace: &Workspace) -> Result<Vec<Finding>> {
    let manifest = workspace.root.join("Cargo.toml");
    let (names, edges) = layers::facts(&members(&manifest)?);
    let mut findings = layers::check(&names, &edges);

    let policy = Policy::read(&workspace.root)?;
    findings.extend(licences::check(&licences::facts(&graph(&manifest, &rust::host()?)?), &policy));
    for guests in guests(workspace) {
        let graph = graph(&guests.manifest(workspace), modules::TARGET)?;
        findings.extend(licences::check(&licences::facts(&graph), &policy));
    }

    let tree = |edges: &str| {
        let format = ["--prefix", "none", "--format", "{p}|{f}"];
        output(
            cargo()
                .args(["tree", "--workspace", "--edges", edges])
                .args(format)
                .current_dir(&workspace.root),
        )
    };
    findings.extend(features::check(&tree("normal,build")?, &tree("normal,build,dev")?));

    if answers(&cargo_program(), &["deny", "--version"]) {
        run_command(
            cargo()
                .args(["deny", "check", "bans", "licenses", "sources"])
                .current_dir(&workspace.root),
        )?;
    }
    Ok(findings)
}

/// Only names the files: `cargo fmt --all` shows and mends the rest.
fn format(workspace: &Workspace) -> Result<()> {
    let check = |manifest: &Path| {
        let mut command = cargo();
        command.args(["fmt", "--all", "--manifest-path"]).arg(manifest);
        run_command(command.args(["--", "--check", "--files-with-diff"])).with_context(|| {
            format!("run `cargo fmt --all --manifest-path {}`", manifest.display())
        })
    };
    check(&workspace.root.join("Cargo.toml"))?;
    guests(workspace).try_for_each(|guests| check(&guests.manifest(workspace)))
}

/// The lints of the compiler that `rust-version` names must be silent. A newer compiler knows further lints; those are
/// shown and fail nothing, so that a checkout stays good when Rust moves on.
fn lints(workspace: &Workspace) -> Result<()> {
    let ours = env!("CARGO_PKG_RUST_VERSION");
    let level: &[&str] = if rust::is_newer_than(ours)? {
        say(&format!("this compiler is newer than {ours}: its lints are only shown"));
        &[]
    } else {
        &["--", "-D", "warnings"]
    };
    run_command(
        cargo()
            .args(["clippy", "--release", "--workspace", "--all-targets"])
            .args(level)
            .current_dir(&workspace.root),
    )?;
    // The half of the SDK that only guests compile.
    run_command(
        modules::cargo(workspace, &workspace.root.join("Cargo.toml"), "clippy")
            .args(["--package", "millstream-udf", "--target", modules::TARGET])
            .args(level),
    )?;
    for guests in guests(workspace) {
        run_command(
            guests.cargo(workspace, "clippy").args(["--target", modules::TARGET]).args(level),
        )?;
        if guests.tested_natively {
            run_command(guests.cargo(workspace, "clippy").arg("--all-targets").args(level))?;
        }
    }
    Ok(())
}
