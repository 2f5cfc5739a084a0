//! `millstream build`: a project's modules, checked against its manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use millstream_control::api::modules::DescriptionInfo;
use millstream_control::errors;
use millstream_control::registry::describe;
use serde::Serialize;

use super::module::described;
use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::{Cell, units};
use crate::{manifest, project};

/// Build a project's modules with cargo, and check them against the manifest
///
/// The package beside the manifest is built for WebAssembly, in the release profile. A module that cargo puts elsewhere than the
/// manifest says is copied there.
#[derive(Args)]
pub struct Build {
    /// The manifest
    #[arg(short, long = "file", value_name = "FILE", default_value = "pipeline.yaml")]
    file: PathBuf,
}

/// A module of the project.
#[derive(Serialize)]
struct Built {
    name: String,
    version: String,
    path: PathBuf,
    /// Bytes.
    size: u64,
    /// SHA-256 of the bytes, 64 hexadecimal digits.
    digest: String,
    /// Stages that run it.
    stages: Vec<String>,
    description: DescriptionInfo,
}

impl Build {
    /// Builds and checks.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let loaded = manifest::load(&self.file)?;
        if !project::is_package(&loaded.folder) {
            return Err(Failure::coded(
                errors::NOT_BUILT,
                format!("there is no Cargo.toml in {}", loaded.folder.display()),
            )
            .help("the package of the modules lies beside the manifest; `millstream new NAME` starts one"));
        }
        let built = project::build(&loaded.folder, project::RELEASE)?;
        project::install(&loaded, &built)?;
        let compiled = loaded.check()?;
        let mut modules: BTreeMap<PathBuf, Built> = BTreeMap::new();
        for (stage, path) in loaded.module_files() {
            let Some(module) = compiled.get(stage) else { continue };
            let size = size(&path)?;
            let told = module.description();
            let entry = modules.entry(path.clone()).or_insert_with(|| Built {
                name: told.name.clone(),
                version: told.version.clone(),
                path,
                size,
                digest: hex::encode(module.digest()),
                stages: Vec::new(),
                description: describe(told),
            });
            entry.stages.push(stage.to_owned());
        }
        let modules: Vec<Built> = modules.into_values().collect();
        let names: Vec<_> =
            modules.iter().map(|module| module.path.display().to_string()).collect();
        app.out.one(&modules, &names.join("\n"), || modules.iter().flat_map(pairs).collect())?;
        if app.out.is_for_people() {
            say(&format!("{}: valid", loaded.document.file));
        }
        Ok(Exit::Ok)
    }
}

fn size(path: &Path) -> Result<u64, Failure> {
    let metadata =
        std::fs::metadata(path).map_err(|error| Failure::file("look at", path, &error))?;
    Ok(metadata.len())
}

fn pairs(module: &Built) -> Vec<(String, Cell)> {
    let mut pairs = vec![
        ("module".to_owned(), Cell::text(format!("{}@{}", module.name, module.version))),
        ("file".to_owned(), Cell::text(module.path.display().to_string())),
        ("size".to_owned(), Cell::text(units::bytes(module.size))),
        ("digest".to_owned(), Cell::text(format!("sha256:{}", module.digest))),
        ("stages".to_owned(), Cell::text(module.stages.join(", "))),
    ];
    pairs.extend(described(&module.description));
    pairs
}
