//! The guest in Python: componentize-py makes a component of `examples/python`.
//!
//! What was built of the same sources before is taken out of the cache. That is more than a saving: two builds differ in a few
//! bytes, and a module with another digest would be compiled anew, which takes longest of all.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::modules::copy_if_different;
use crate::process::{run, say};
use crate::tools::python::{cache_folder, with_requirements};
use crate::workspace::Workspace;

/// Where the sources are, and in `dist` the component.
const FOLDER: &str = "examples/python";
/// The contract that bindings are made from.
const CONTRACT: &str = "wit/udf-0.1.0";
const MODULE: &str = "card-fraud.wasm";
/// What the component is made of.
const SOURCES: [&str; 4] = ["app.py", "columns.py", "requirements.txt", STRIP];
const STRIP: &str = "strip_debug.py";
const CHECK_OF_VECTORS: &str = "check_vectors.py";

/// The command line of componentize-py: its package has no module that could be run.
const COMPONENTIZE: &str = "import componentize_py; componentize_py.script()";

/// The guest with the Python that builds it.
pub struct Guest<'a> {
    workspace: &'a Workspace,
    interpreter: PathBuf,
}

impl<'a> Guest<'a> {
    /// Finds or makes the Python. Fails where there is none, or the package index cannot be reached.
    pub fn new(workspace: &'a Workspace) -> Result<Self> {
        let interpreter = with_requirements(&workspace.root.join(FOLDER).join("requirements.txt"))?;
        Ok(Self { workspace, interpreter })
    }

    /// Builds the component.
    pub fn build(&self) -> Result<()> {
        say(&format!("build the module of {FOLDER}"));
        let dist = self.folder().join("dist");
        fs::create_dir_all(&dist).with_context(|| format!("create {}", dist.display()))?;
        let kept = cache_folder()?.join(format!("{:016x}.wasm", self.sources()?));
        if !kept.is_file() {
            // Beside its final place, which it takes in one step.
            let part = tempfile::Builder::new().suffix(".part").tempfile_in(cache_folder()?)?;
            let mut componentize = self.componentize();
            componentize.args(["componentize", "--stub-wasi", "app", "-o"]).arg(part.path());
            run(&mut componentize)?;
            run(self.python().arg(STRIP).arg(part.path()))?;
            part.persist(&kept).with_context(|| format!("write {}", kept.display()))?;
        }
        copy_if_different(&kept, &dist.join(MODULE))?;
        eprintln!("  {FOLDER}/dist/{MODULE}");
        Ok(())
    }

    /// Checks the function against the contract's test vectors, without WebAssembly.
    pub fn check_vectors(&self) -> Result<()> {
        say(&format!("check {FOLDER} against the test vectors"));
        let bindings = tempfile::tempdir()?;
        run(self.componentize().arg("bindings").arg(bindings.path()))?;
        run(self.python().arg(CHECK_OF_VECTORS).env("PYTHONPATH", bindings.path()))
    }

    fn componentize(&self) -> Command {
        let mut command = self.python();
        command.args(["-c", COMPONENTIZE, "--quiet", "--world", "udf", "--wit-path"]);
        command.arg(self.workspace.root.join(CONTRACT));
        command
    }

    /// Python in the folder of the sources, which it leaves without byte code.
    fn python(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg("-B").current_dir(self.folder());
        command
    }

    fn folder(&self) -> PathBuf {
        self.workspace.root.join(FOLDER)
    }

    /// A hash of all that the component is made from.
    fn sources(&self) -> Result<u64> {
        let mut paths: Vec<PathBuf> = SOURCES.iter().map(|file| self.folder().join(file)).collect();
        paths.extend(wit_files(&self.workspace.root.join(CONTRACT))?);
        let mut hasher = DefaultHasher::new();
        for path in paths {
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            content.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

/// The WIT files of a folder, in the order of their names.
fn wit_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
