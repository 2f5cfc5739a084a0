//! Manifests and the module files they name, as the command line sees them. What they mean is decided in
//! `millstream_control::manifest`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_control::api::Operation;
use millstream_control::api::pipelines::{Described, ManifestText};
use millstream_control::client::read_module_files;
use millstream_control::errors;
use millstream_control::manifest::{Document, MANIFEST_SIZE_MAX, Manifest, ModuleRef, resolve};
use millstream_control::problem::{Problem, Problems};
use millstream_core::ids::Incarnation;
use millstream_sandbox::{Limits, MODULE_BYTES_MAX, Module, ModuleError, Sandbox};

use crate::actor::actor;
use crate::connection::Remote;
use crate::failure::Failure;

/// A manifest and where it came from.
pub struct Loaded {
    /// What it says and where.
    pub document: Document,
    /// Folder that paths in it are relative to.
    pub folder: PathBuf,
    /// Module files to take instead of those of the same file name that the manifest names.
    instead: Vec<PathBuf>,
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
    let folder = if is_stdin { PathBuf::from(".") } else { folder(path) };
    Ok(Loaded { document, folder, instead: Vec::new() })
}

/// The folder of a manifest. That of a plain name is `.`: the empty path is no folder to start a program in.
pub fn folder(manifest: &Path) -> PathBuf {
    match manifest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A manifest as the runtime keeps it.
pub fn stored(described: &Described) -> Result<Manifest, Failure> {
    Document::parse(&described.info.name, &described.manifest)
        .map(|document| document.manifest)
        .map_err(|problems| Failure::problems(problems, Some(&described.manifest)))
}

impl Loaded {
    /// The same, but with these module files instead of those of the same file name that it names.
    pub fn with_modules(self, files: Vec<PathBuf>) -> Self {
        Loaded { instead: files, ..self }
    }

    /// Where a module file that the manifest names is.
    fn locate(&self, file: &Path) -> PathBuf {
        let instead = self.instead.iter().find(|built| built.file_name() == file.file_name());
        instead.cloned().unwrap_or_else(|| self.folder.join(file))
    }

    /// The bytes of the module files, by stage.
    fn read_modules(&self) -> Result<BTreeMap<String, Bytes>, Failure> {
        read_module_files(&self.document, |file| self.locate(file))
            .map_err(|problems| self.refuse(problems))
    }

    /// Stages whose module is a file, and where that is.
    pub fn module_files(&self) -> Vec<(&str, PathBuf)> {
        let stages = self.document.manifest.stages.iter();
        stages
            .filter_map(|(name, stage)| match &stage.module {
                ModuleRef::File { file } => Some((name.as_str(), self.locate(Path::new(file)))),
                ModuleRef::Named { .. } | ModuleRef::Digest { .. } => None,
            })
            .collect()
    }

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
        let files = self.read_modules()?;
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

    /// Checks the manifest against the modules that it names by file, as far as that can be done without a server: not if some are in
    /// the registry. The modules, by stage.
    pub fn check(&self) -> Result<BTreeMap<String, Arc<Module>>, Failure> {
        let modules = self.compile(&sandbox()?)?;
        if self.registry_stages().is_empty() {
            resolve(&self.document, &modules, Incarnation::default())
                .map_err(|problems| self.refuse(problems))?;
        }
        Ok(modules)
    }

    /// The manifest as the runtime takes it: the files it names are pushed first.
    pub async fn upload(&self, remote: &Remote) -> Result<ManifestText, Failure> {
        let modules = self.read_modules()?;
        let uploaded = remote.client().upload(&self.document, modules, &actor()).await;
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
fn refused(error: &ModuleError) -> Problem {
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
