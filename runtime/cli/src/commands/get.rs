//! `millstream get`: pipelines or modules, one line each.

use clap::{Args, Subcommand};
use millstream_control::api::modules::{self, ModuleInfo};
use millstream_control::api::pipelines::{self, Desired, PipelineInfo};
use millstream_control::api::status::{Phase, PipelineStatus};

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Listed, Tone, units};

/// List pipelines or modules
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Get {
    #[command(subcommand)]
    what: Option<What>,

    /// Only these pipelines
    names: Vec<String>,
}

/// What can be listed.
#[derive(Subcommand)]
enum What {
    /// Pipelines and how they are (the default)
    #[command(visible_alias = "pipeline")]
    Pipelines {
        /// Only these
        names: Vec<String>,
    },
    /// Modules of the registry
    #[command(visible_alias = "module")]
    Modules,
}

impl Get {
    /// Prints the list.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            match self.what.unwrap_or(What::Pipelines { names: self.names }) {
                What::Pipelines { names } if names.is_empty() => {
                    let listing = remote.call(&pipelines::List {}).await?;
                    app.out.list(
                        &listing.pipelines,
                        "no pipelines; `millstream apply -f pipeline.yaml` creates one",
                    )?;
                }
                What::Pipelines { names } => {
                    let mut found = Vec::with_capacity(names.len());
                    for pipeline in names {
                        found.push(remote.call(&pipelines::Get { pipeline }).await?);
                    }
                    app.out.list(&found, "no pipelines")?;
                }
                What::Modules => list_modules(app, &remote).await?,
            }
            Ok(Exit::Ok)
        })
    }
}

/// Prints the registry: also `millstream module ls`.
pub async fn list_modules(app: &App, remote: &Remote) -> Result<(), Failure> {
    let listing = remote.call(&modules::List {}).await?;
    app.out.list(&listing.modules, "no modules; `millstream module push FILE` registers one")
}

/// What a pipeline does, and how that is meant.
pub fn phase(info: &PipelineInfo) -> Cell {
    let Some(status) = &info.status else {
        return Cell::toned("unknown", Tone::Warn);
    };
    match (info.desired, status.phase) {
        (Desired::Deleted, _) => Cell::toned("deleting", Tone::Warn),
        (_, Phase::Failed) => Cell::toned("failed", Tone::Bad),
        (Desired::Running, Phase::Running) => Cell::toned("running", Tone::Good),
        (Desired::Running, _) => Cell::toned("starting", Tone::Warn),
        (Desired::Paused, Phase::Paused) => Cell::text("paused"),
        (Desired::Paused, _) => Cell::toned("pausing", Tone::Warn),
        (Desired::Stopped, Phase::Stopped) => Cell::text("stopped"),
        (Desired::Stopped, _) => Cell::toned("stopping", Tone::Warn),
    }
}

/// Sums one number over all partitions.
fn sum<T: std::iter::Sum>(
    status: &PipelineStatus,
    number: impl Fn(&millstream_control::api::status::PartitionStatus) -> T,
) -> T {
    status.stages.iter().flat_map(|stage| &stage.partitions).map(number).sum()
}

/// Since when all totals count, milliseconds since 1970 UTC: the last time that the node opened a partition.
fn since(status: &PipelineStatus) -> Option<i64> {
    status.stages.iter().flat_map(|stage| &stage.partitions).map(|p| p.since_ms).max()
}

impl Listed for PipelineInfo {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "PHASE", "STAGES", "PARTITIONS", "RECORDS/S", "LAG", "DEAD LETTERS", "CHANGED"];
    const WIDE: &'static [&'static str] =
        &["RECORDS", "OUTPUTS", "SINCE", "REVISION", "BY", "REASON"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        let none = PipelineStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let partitions: usize = status.stages.iter().map(|stage| stage.partitions.len()).sum();
        let lag = sum(status, |p| p.positions.iter().map(|position| position.lag).sum::<u64>());
        let tone = if self.dead_letters.is_some_and(|waiting| waiting > 0) {
            Tone::Warn
        } else {
            Tone::Plain
        };
        let dead = self.dead_letters.map_or_else(|| "?".to_owned(), units::count);
        vec![
            Cell::text(&self.name),
            phase(self),
            Cell::number(status.stages.len().to_string()),
            Cell::number(partitions.to_string()),
            // An empty sum of floats is -0.
            Cell::number(format!("{:.0}", sum(status, |p| p.records_per_second) + 0.0)),
            Cell::number(units::count(lag)),
            Cell::toned_number(dead, tone),
            Cell::text(units::time(self.changed_at_ms)),
            Cell::number(units::count(sum(status, |p| p.records))),
            Cell::number(units::count(sum(status, |p| p.outputs))),
            Cell::optional(since(status).map(units::time)),
            Cell::number(self.revision.to_string()),
            Cell::text(&self.by),
            Cell::optional(status.reason.as_deref()),
        ]
    }
}

impl Listed for ModuleInfo {
    const COLUMNS: &'static [&'static str] = &["MODULE", "VERSION", "DIGEST", "SIZE", "USED BY"];
    const WIDE: &'static [&'static str] = &["INPUTS", "OUTPUTS", "STATES", "PUSHED", "BY"];

    fn name(&self) -> String {
        match self.unnamed {
            true => format!("sha256:{}", self.digest),
            false => format!("{}@{}", self.name, self.version),
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let ports = |ports: &[modules::PortInfo]| {
            ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(",")
        };
        let states: Vec<_> =
            self.description.states.iter().map(|state| state.name.as_str()).collect();
        let version = match self.unnamed {
            true => format!("({})", self.version),
            false => self.version.clone(),
        };
        vec![
            Cell::text(&self.name),
            Cell::text(version),
            Cell::text(short(&self.digest)),
            Cell::number(units::bytes(self.size)),
            Cell::text(self.used_by.join(",")),
            Cell::text(ports(&self.description.inputs)),
            Cell::text(ports(&self.description.outputs)),
            Cell::text(states.join(",")),
            Cell::text(units::time(self.pushed_at_ms)),
            Cell::text(&self.by),
        ]
    }
}

/// The first digits of a digest: enough for people.
pub fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
