//! A nats-server that is new enough: found on the machine, or fetched once into the project's cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::semver::Version;

use super::debian;
use crate::process::{output, say};

/// Names the nats-server to use; set for every process that tests, demonstrates or measures.
pub const VARIABLE: &str = "MILLSTREAM_NATS_SERVER";

/// Major and minor version of the oldest server we work with. Older ones lack features the
/// commit log needs, and have an authorisation bypass.
const OLDEST: (u64, u64) = (2, 14);

const PROGRAM: &str = "nats-server";

/// The Debian release whose package brings a static program that older releases can run.
const SUITE: &str = "forky";

/// The path of a nats-server of version 2.14 or newer: the one that `MILLSTREAM_NATS_SERVER` names, one on `PATH`,
/// one in the cache, or one that is fetched now. Fails when the variable names a server that
/// is too old, or when none is there and this is not Debian.
pub fn nats_server() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        let version = version_of(&path).with_context(|| format!("{VARIABLE} is set"))?;
        if !new_enough(&version) {
            bail!(
                "{VARIABLE} names {PROGRAM} {version}; {}.{} or newer is needed",
                OLDEST.0,
                OLDEST.1
            );
        }
        return Ok(path);
    }
    let cache = cache_folder()?;
    let found = on_path()
        .into_iter()
        .chain(in_cache(&cache))
        .find(|path| version_of(path).is_ok_and(|version| new_enough(&version)));
    match found {
        Some(path) => Ok(path),
        None => fetch(&cache),
    }
}

/// The version that the program itself prints.
pub fn version_of(program: &Path) -> Result<Version> {
    let text = output(Command::new(program).arg("--version"))?;
    parse_version(&text).with_context(|| {
        format!("{} printed {:?}", program.display(), text.lines().next().unwrap_or_default())
    })
}

/// Reads `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<Version> {
    let (_, version) = text.trim().rsplit_once([' ', ':'])?;
    Version::parse(version.trim_start_matches('v')).ok()
}

fn new_enough(version: &Version) -> bool {
    (version.major, version.minor) >= OLDEST
}

/// Programs of that name on `PATH`, and where Debian puts it, which is not on everybody's `PATH`.
fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(PROGRAM))
        .filter(|program| program.is_file())
        .collect()
}

/// `$HOME/.cache/millstream/nats-server`: one folder per version.
fn cache_folder() -> Result<PathBuf> {
    let home = env::var_os("HOME").context("the environment has no HOME")?;
    Ok(PathBuf::from(home).join(".cache/millstream").join(PROGRAM))
}

/// The servers of earlier runs, newest first.
fn in_cache(cache: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cache) else {
        return Vec::new();
    };
    let mut versions: Vec<(Version, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = Version::parse(entry.file_name().to_str()?).ok()?;
            Some((version, entry.path().join(PROGRAM)))
        })
        .collect();
    versions.sort_by(|a, b| b.0.cmp(&a.0));
    versions.into_iter().map(|(_, program)| program).collect()
}

fn fetch(cache: &Path) -> Result<PathBuf> {
    say(&format!("fetch {PROGRAM} into {}", cache.display()));
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    // Beside its final place, so that moving it there is one step, whoever else does the same.
    let scratch = tempfile::Builder::new()
        .prefix("fetch-")
        .tempdir_in(cache)
        .with_context(|| format!("create a folder in {}", cache.display()))?;
    let program = debian::program(SUITE, PROGRAM, "usr/sbin/nats-server", scratch.path())
        .with_context(|| {
            format!(
                "no {PROGRAM} {}.{} or newer was found; install one on PATH or name one in {VARIABLE}",
                OLDEST.0, OLDEST.1
            )
        })?;
    let version = version_of(&program)?;
    if !new_enough(&version) {
        bail!(
            "the package holds {PROGRAM} {version}; {}.{} or newer is needed",
            OLDEST.0,
            OLDEST.1
        );
    }
    let folder = cache.join(version.to_string());
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let place = folder.join(PROGRAM);
    fs::rename(&program, &place).with_context(|| format!("write {}", place.display()))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_print() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some(Version::new(2, 15, 1)));
        assert_eq!(parse_version("nats-server: 2.9.10"), Some(Version::new(2, 9, 10)));
        let preview = parse_version("nats-server: v2.14.0-RC.2").expect("a preview is a version");
        assert!(new_enough(&preview));
        assert_eq!(parse_version("Usage: nats-server"), None);
    }

    #[test]
    fn two_fourteen_is_the_oldest() {
        assert!(!new_enough(&Version::new(2, 9, 10)));
        assert!(!new_enough(&Version::new(2, 13, 99)));
        assert!(new_enough(&Version::new(2, 14, 0)));
        assert!(new_enough(&Version::new(3, 0, 0)));
    }

    #[test]
    fn the_newest_of_the_cache_comes_first() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        for folder in ["2.9.1", "2.15.1", "2.14.3", "fetch-x"] {
            fs::create_dir(cache.path().join(folder)).expect("create");
        }
        let found = in_cache(cache.path());
        let expected = ["2.15.1", "2.14.3", "2.9.1"].map(|v| cache.path().join(v).join(PROGRAM));
        assert_eq!(found, expected);
    }
}
