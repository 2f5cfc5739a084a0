//! Manifests and the module files they name, as the command line sees them. What they mean is decided in
//! `millstream_control::manifest`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_control::api::Operation;
use millstream_control::api::pipelines::{Described, ManifestText};
use millstream_control::client::read_module_files;
use millstream_control::errors;
use millstream_control::manifest::{Document, MANIFEST_SIZE_MAX, Manifest, ModuleRef};
use millstream_control::problem::{Problem, Problems};
use millstream_sandbox::{Limits, MODULE_BYTES_MAX, Module, ModuleError, Sandbox};

use crate::actor::actor;
use crate::connection::Remote;
use crate::failure::Failure;

/// A manifest and where it came from.
pub struct Loaded {
    /// What it says and where.
    pub document: Document,
    /// Folder that paths in it are relative to.
    folder: PathBuf,
}

/// Reads a manifest; `-` is standard input.
pub fn load(path: &Path) -> Result<Loaded, Failure> {
    let is_stdin = path == Path::new("-");
    let mut text = String::new();
    // One byte more than allowed, so that the parser can say that it is too large.
    let limit = MANIFEST_SIZE_MAX as u64 + 1;
    let read = match is_stdin {
        true => io::stdin().lock().take(limit).read_to_string(&mut text),
        false => fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)),
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            Failure::coded(errors::MANIFEST_UNREADABLE, format!("{} is not UTF-8", path.display()))
        }
        _ => Failure::file("read the manifest", path, &error),
    })?;
    let document = Document::parse(&path.display().to_string(), &text)
        .map_err(|problems| Failure::problems(problems, Some(&text)))?;
    let folder = match is_stdin {
        true => PathBuf::from("."),
        false => path.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    Ok(Loaded { document, folder })
}

/// A manifest as the runtime keeps it.
pub fn stored(described: &Described) -> Result<Manifest, Failure> {
    Document::parse(&described.info.name, &described.manifest)
        .map(|document| document.manifest)
        .map_err(|problems| Failure::problems(problems, Some(&described.manifest)))
}

impl Loaded {
    /// Problems of this manifest as a failure that shows the lines.
    pub fn refuse(&self, problems: Problems) -> Failure {
        Failure::problems(problems, Some(&self.document.text))
    }

    /// Stages whose module is not a file but in the registry.
    pub fn registry_stages(&self) -> Vec<&str> {
        let stages = self.document.manifest.stages.iter();
        stages
            .filter(|(_, stage)| !matches!(stage.module, ModuleRef::File { .. }))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Reads and compiles the module files, by stage. All that are missing or wrong are reported at once.
    pub fn compile(&self, sandbox: &Sandbox) -> Result<BTreeMap<String, Arc<Module>>, Failure> {
        let files = read_module_files(&self.document, &self.folder)
            .map_err(|problems| self.refuse(problems))?;
        let mut modules = BTreeMap::new();
        let mut problems = Vec::new();
        for (stage, bytes) in files {
            match sandbox.compile(&bytes) {
                Ok(module) => {
                    modules.insert(stage, Arc::new(module));
                }
                Err(error) => {
                    let place = self.document.at(&format!("stages.{stage}.module.file"));
                    problems.push(refused(&error).at(place));
                }
            }
        }
        Problems::refuse(problems).map_err(|problems| self.refuse(problems))?;
        Ok(modules)
    }

    /// The manifest as the runtime takes it: the files it names are pushed first.
    pub async fn upload(&self, remote: &Remote) -> Result<ManifestText, Failure> {
        let uploaded = remote.client().upload(&self.document, &self.folder, &actor()).await;
        uploaded.map_err(|problems| self.refuse(problems))
    }

    /// Asks the runtime about this manifest; problems show its lines.
    pub async fn ask<O: Operation>(
        &self,
        remote: &Remote,
        request: &O,
    ) -> Result<O::Response, Failure> {
        remote.ask(request).await.map_err(|problems| self.refuse(problems))
    }
}

/// A module file that is not a UDF.
pub fn refused(error: &ModuleError) -> Problem {
    Problem::new(errors::MODULE_REFUSED, error.to_string())
}

/// Where compiled code is kept: in the user's cache folder, where there is one.
pub fn code_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join("millstream").join("compiled"));
    // A cache that cannot be had (a read-only home) is no reason to fail.
    cache.filter(|folder| fs::create_dir_all(folder).is_ok())
}

/// The sandbox of this process, with its folder of compiled code. It takes the largest modules that a node may: who calls it
/// runs their own.
pub fn sandbox() -> Result<Sandbox, Failure> {
    Sandbox::new(Limits::for_modules_of(MODULE_BYTES_MAX), code_folder().as_deref())
        .map_err(|error| Failure::coded(errors::SYSTEM, "the sandbox cannot start").because(&error))
}
