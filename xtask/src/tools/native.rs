//! The native tools that RocksDB's build needs: a C++ compiler, and clang with libclang for the bindings.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{answers, output, run, say};

/// Where libclang is installed, after the folder that `LIBCLANG_PATH` names. An asterisk stands for any name.
const LIBCLANG_FOLDERS: [&str; 8] = [
    "/usr/lib/llvm-*/lib",
    "/usr/lib/*-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/llvm*/lib",
    "/opt/homebrew/opt/llvm/lib",
    "/Library/Developer/CommandLineTools/usr/lib",
];

/// Installs what is missing when we are root on a machine with apt-get; otherwise says what to install.
pub fn ensure() -> Result<()> {
    let missing = missing_packages();
    if !missing.is_empty() {
        install(&missing)?;
    }
    let still = missing_packages();
    if !still.is_empty() {
        bail!("installed, but still not found: what the Debian packages {} bring", still.join(" "));
    }
    Ok(())
}

/// Says on stderr that the benchmarks' input generator has no interpreter, if so. Nothing else needs it.
pub fn look_for_python() {
    if !answers("python3", &["--version"]) {
        say("python3 is not installed: benchmarks that generate their input will not run");
    }
}

/// The Debian packages that bring what is missing.
fn missing_packages() -> Vec<&'static str> {
    let mut missing = Vec::new();
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !answers(&compiler, &["--version"]) {
        missing.push("g++");
    }
    // bindgen asks the program where the headers of C and C++ are.
    if !answers("clang", &["--version"]) {
        missing.push("clang");
    }
    if find_libclang().is_none() {
        missing.push("libclang-dev");
    }
    missing
}

fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !answers("apt-get", &["--version"]) {
        bail!(
            "RocksDB's build needs a C++ compiler, clang and libclang; install what Debian's packages {names} hold"
        );
    }
    if !is_root()? {
        bail!("RocksDB's build needs {names}: run `sudo apt-get install {names}` and try again");
    }
    say(&format!("install {names}"));
    if run(&mut apt_install(packages)).is_err() {
        // A new machine has no package lists yet, or old ones.
        run(Command::new("apt-get").arg("update"))?;
        run(&mut apt_install(packages)).with_context(|| format!("install {names}"))?;
    }
    Ok(())
}

fn apt_install(packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether we run as the system's administrator.
pub fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

fn find_libclang() -> Option<PathBuf> {
    let named = env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let usual = LIBCLANG_FOLDERS.iter().flat_map(|pattern| expand(pattern));
    named.into_iter().chain(usual).find_map(|place| libclang_in(&place))
}

/// The library itself or one in this folder.
fn libclang_in(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return Some(place.to_owned());
    }
    let entries = fs::read_dir(place).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| is_libclang(&name.to_string_lossy())))
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.1`, `libclang.dylib`, but not `libclang-cpp.so`.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    match rest.strip_prefix('-') {
        None => rest.starts_with(".so") || rest == ".dylib",
        Some(version) => {
            version.starts_with(|first: char| first.is_ascii_digit()) && version.contains(".so")
        }
    }
}

/// The existing folders that a pattern with at most one asterisk per name stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((start, end)) => found
                .iter()
                .filter_map(|folder| fs::read_dir(folder).ok())
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with(start) && name.ends_with(end)
                })
                .collect(),
        };
    }
    found.retain(|folder| folder.is_dir());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_libclang_from_its_siblings() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang-14.0.6.so",
            "libclang.dylib",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in
            ["libclang-cpp.so.14", "libclangAST.a", "libclang_rt.a", "libc.so", "libclang-14.a"]
        {
            assert!(!is_libclang(name), "{name}");
        }
    }

    #[test]
    fn a_pattern_stands_for_existing_folders_only() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for folder in ["llvm-14/lib", "llvm-19/lib", "other/lib", "llvm-20"] {
            fs::create_dir_all(dir.path().join(folder)).expect("create");
        }
        let mut found = expand(&format!("{}/llvm-*/lib", dir.path().display()));
        found.sort();
        assert_eq!(found, [dir.path().join("llvm-14/lib"), dir.path().join("llvm-19/lib")]);
    }

    #[test]
    fn a_library_file_may_be_named_itself() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(libclang_in(dir.path()), None);
        let library = dir.path().join("libclang-14.so.1");
        fs::write(&library, b"").expect("write");
        assert_eq!(libclang_in(dir.path()), Some(library.clone()));
        assert_eq!(libclang_in(&library), Some(library));
    }
}
