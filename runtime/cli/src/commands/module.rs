//! `millstream module`: the registry of modules.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use millstream_control::api::modules::{DescriptionInfo, ModuleInfo, PortInfo, Remove, Show};
use millstream_control::compiler::Compiler as _;
use millstream_control::problem::Problem;
use millstream_sandbox::MODULE_BYTES_MAX;

use super::get::list_modules;
use crate::actor::actor;
use crate::cli::App;
use crate::compile::ChildCompiler;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifest;
use crate::output::format::say;
use crate::output::{Cell, Listed, progress, units};

/// Push, list, show or remove modules
#[derive(Args)]
pub struct Module {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Check a module file and register it under the name and version that it says of itself
    Push {
        /// The component, a .wasm file
        file: PathBuf,
    },
    /// List the registry
    Ls,
    /// Show a module: its digest, inputs, outputs, states, timers
    Show {
        /// `name@version`, `sha256:DIGEST`, or the name of a module with one version
        module: String,
    },
    /// Remove a module that no pipeline uses
    Rm {
        /// `name@version` or `sha256:DIGEST`
        module: String,
    },
}

impl Module {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        match self.what {
            What::Push { file } => push(app, &file)?,
            What::Ls => block_on(async { list_modules(app, &Remote::connect(app).await?).await })?,
            What::Show { module } => {
                let show = async { Remote::connect(app).await?.call(&Show { module }).await };
                print(app, &block_on(show)?)?;
            }
            What::Rm { module } => {
                block_on(async {
                    Remote::connect(app).await?.call(&Remove { module: module.clone() }).await
                })?;
                say(&format!("module {module}: removed"));
            }
        }
        Ok(Exit::Ok)
    }
}

fn push(app: &App, file: &Path) -> Result<(), Failure> {
    let bytes =
        std::fs::read(file).map_err(|error| Failure::file("read the module", file, &error))?;
    let bytes = Bytes::from(bytes);
    let pushed = block_on(async {
        check(&bytes).await.map_err(|problem| {
            Failure::problems(problem.into(), None).at(file.display().to_string())
        })?;
        let remote = Remote::connect(app).await?;
        let bar = progress::spinner(&format!("pushing {}", units::bytes(bytes.len() as u64)));
        let pushed = remote.client().push(bytes, &actor(), false).await;
        bar.finish_and_clear();
        pushed.map_err(|problems| Failure::problems(problems, None))
    })?;
    if !app.out.is_for_people() {
        return app.out.one(&pushed.module, &pushed.module.name(), Vec::new);
    }
    let done = if pushed.new { "pushed" } else { "is there already" };
    say(&format!("module {}: {done} (sha256:{})", pushed.module.name(), pushed.module.digest));
    Ok(())
}

/// A file that is no UDF need not travel. Who pushes it need not have written it: it is compiled as a node does that, where there
/// is a folder for what comes of it.
async fn check(bytes: &Bytes) -> Result<(), Problem> {
    let folder = manifest::code_folder();
    if let Some(compiler) = folder.and_then(|code| ChildCompiler::new(&code, MODULE_BYTES_MAX)) {
        compiler.compile(bytes.clone()).await?;
    }
    Ok(())
}

fn print(app: &App, module: &ModuleInfo) -> Result<(), Failure> {
    app.out.one(module, &module.name(), || pairs(module))
}

fn pairs(module: &ModuleInfo) -> Vec<(String, Cell)> {
    let mut pairs = vec![
        ("module".to_owned(), Cell::text(module.name())),
        ("digest".to_owned(), Cell::text(format!("sha256:{}", module.digest))),
        ("size".to_owned(), Cell::text(units::bytes(module.size))),
        (
            "pushed".to_owned(),
            Cell::text(format!("{} by {}", units::time(module.pushed_at_ms), module.by)),
        ),
    ];
    pairs.extend(described(&module.description));
    pairs.push(("used by".to_owned(), Cell::text(lines(module.used_by.clone()))));
    pairs
}

/// What a module says of itself.
pub(super) fn described(described: &DescriptionInfo) -> Vec<(String, Cell)> {
    let ports = |ports: &[PortInfo]| {
        let ports = ports.iter();
        lines(ports.map(|port| format!("{} ({})", port.name, port.fields.join(", "))).collect())
    };
    let states = described.states.iter().map(|state| {
        let ttl = state.ttl_ms.map(|ms| {
            format!(", kept for {}", units::duration(std::time::Duration::from_millis(ms)))
        });
        format!(
            "{} ({}, version {}{})",
            state.name,
            state.kind,
            state.schema_version,
            ttl.unwrap_or_default()
        )
    });
    let timers = described.timers.iter().map(|timer| format!("{} ({})", timer.name, timer.domain));
    vec![
        ("inputs".to_owned(), Cell::text(ports(&described.inputs))),
        ("outputs".to_owned(), Cell::text(ports(&described.outputs))),
        ("states".to_owned(), Cell::text(lines(states.collect()))),
        ("timers".to_owned(), Cell::text(lines(timers.collect()))),
        ("capabilities".to_owned(), Cell::text(lines(described.capabilities.clone()))),
    ]
}

/// One below the other, or a dash for none.
fn lines(items: Vec<String>) -> String {
    if items.is_empty() { "-".to_owned() } else { items.join("\n") }
}
