//! Where the `nats-server` program is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ServerError;
use crate::connect::{ServerVersion, VERSION_RECOMMENDED};

/// Environment variable that names the program.
const PROGRAM_VARIABLE: &str = "MILLSTREAM_NATS_SERVER";

/// The program named by `MILLSTREAM_NATS_SERVER`, else the one on `PATH` unless it is old, else the newest that
/// `cargo xtask setup` has fetched.
pub fn find_nats_server() -> Result<PathBuf, ServerError> {
    find(&|name| std::env::var_os(name).map(PathBuf::from), &version_of)
}

/// What the program says of itself: `nats-server: v2.15.1`.
fn version_of(program: &Path) -> ServerVersion {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    ServerVersion::parse(text.rsplit(' ').next().unwrap_or_default().trim())
}

fn find(
    env: &dyn Fn(&str) -> Option<PathBuf>,
    version_of: &dyn Fn(&Path) -> ServerVersion,
) -> Result<PathBuf, ServerError> {
    if let Some(program) = env(PROGRAM_VARIABLE).filter(|program| !program.as_os_str().is_empty()) {
        return match program.metadata() {
            Ok(_) => Ok(program),
            Err(source) => Err(ServerError::File { path: program.display().to_string(), source }),
        };
    }
    let path = env("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path) {
        let program = folder.join("nats-server");
        // Distributions still ship releases that are too old; a fetched one is better than those.
        if program.is_file() && version_of(&program) >= VERSION_RECOMMENDED {
            return Ok(program);
        }
    }
    let cache = env("HOME").unwrap_or_default().join(".cache/millstream/nats-server");
    newest(&cache).ok_or_else(|| ServerError::NotFound { cache: cache.display().to_string() })
}

/// The program of the newest version: one folder per version, the program in it.
fn newest(cache: &Path) -> Option<PathBuf> {
    let mut found: Vec<(ServerVersion, PathBuf)> = std::fs::read_dir(cache)
        .ok()?
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version = ServerVersion::parse(folder.file_name()?.to_str()?);
            let program = folder.join("nats-server");
            program.is_file().then_some((version, program))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, program)| program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_path_and_path_before_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let at = |place: &str| {
            let program = folder.path().join(place).join("nats-server");
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, "").unwrap();
            program
        };
        at(".cache/millstream/nats-server/2.9.1");
        let newest = at(".cache/millstream/nats-server/2.15.1");
        let home = folder.path().to_owned();
        let only_home = |name: &str| (name == "HOME").then(|| home.clone());
        let new = |_: &Path| VERSION_RECOMMENDED;
        assert_eq!(find(&only_home, &new).unwrap(), newest);
        let on_path = at("bin");
        let with_path =
            |name: &str| if name == "PATH" { Some(home.join("bin")) } else { only_home(name) };
        assert_eq!(find(&with_path, &new).unwrap(), on_path);
        assert_eq!(find(&with_path, &|_| ServerVersion::parse("2.9.10")).unwrap(), newest);
        let named = at("mine");
        let with_variable = |name: &str| {
            if name == PROGRAM_VARIABLE { Some(named.clone()) } else { with_path(name) }
        };
        assert_eq!(find(&with_variable, &new).unwrap(), named);
        let nothing = find(&|_| None, &new).unwrap_err().to_string();
        assert!(nothing.contains("cargo xtask setup"), "{nothing}");
    }
}
