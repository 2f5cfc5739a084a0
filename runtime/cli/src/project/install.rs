//! Puts built modules where the manifest names them. Usually cargo's target folder is that place already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use millstream_control::errors;
use millstream_control::problem::{Problem, Problems};

use crate::failure::Failure;
use crate::manifest::Loaded;

/// Copies each of the `built` modules to the file of the same name in the manifest, where that is another file.
///
/// # Errors
/// MS1111 if the manifest names a file that is neither there nor built.
pub fn install(loaded: &Loaded, built: &[PathBuf]) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for (stage, wanted) in loaded.module_files() {
        match built.iter().find(|module| module.file_name() == wanted.file_name()) {
            Some(module) => put(module, &wanted)
                .map_err(|error| Failure::file("write the module", &wanted, &error))?,
            None if wanted.is_file() => {}
            None => problems.push(
                Problem::new(errors::MODULE_FILE, format!("{} does not exist", wanted.display()))
                    .help(format!("cargo built {}: name that file", names(built)))
                    .at(loaded.document.at(&format!("stages.{stage}.module.file"))),
            ),
        }
    }
    Problems::refuse(problems).map_err(|problems| loaded.refuse(problems))
}

/// Makes `wanted` a copy of `module`, by one rename: what is there may be a link to another file of cargo's, or being read.
fn put(module: &Path, wanted: &Path) -> io::Result<()> {
    let is_there = fs::canonicalize(wanted)
        .is_ok_and(|path| fs::canonicalize(module).is_ok_and(|module| module == path));
    if is_there {
        return Ok(());
    }
    let folder = wanted.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let copy = tempfile::NamedTempFile::new_in(folder)?;
    fs::copy(module, copy.path())?;
    copy.persist(wanted)?;
    Ok(())
}

/// Names of the modules, for a sentence.
fn names(built: &[PathBuf]) -> String {
    let names: Vec<_> = built
        .iter()
        .filter_map(|module| module.file_name())
        .map(|name| name.to_string_lossy())
        .collect();
    if names.is_empty() {
        return "no module (does Cargo.toml say `crate-type = [\"cdylib\"]`?)".to_owned();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_put_beside_and_not_into_what_is_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("built.wasm"), "new").expect("write");
        fs::write(at("deps.wasm"), "old").expect("write");
        fs::hard_link(at("deps.wasm"), at("wanted.wasm")).expect("link");
        put(&at("built.wasm"), &at("wanted.wasm")).expect("put");
        put(&at("built.wasm"), &at("new/wanted.wasm")).expect("put into a new folder");
        put(&at("built.wasm"), &at("built.wasm")).expect("it is there");
        let read = |name: &str| fs::read_to_string(at(name)).expect("read");
        assert_eq!(
            ["wanted.wasm", "new/wanted.wasm", "deps.wasm", "built.wasm"].map(read),
            ["new", "new", "old", "new"]
        );
    }
}
