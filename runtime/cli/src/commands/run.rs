//! `millstream run`: the runtime against an existing NATS, or with `--local` a pipeline over files.

use std::path::{Path, PathBuf};

use clap::Args;
use millstream_control::errors;
use millstream_control::lease::LeaseOptions;
use millstream_log::connect::Accounts;
use tokio_util::sync::CancellationToken;

use crate::cli::App;
use crate::connection::{AGAIN_AFTER, engine_options, open_when_there, options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::local::LocalArgs;
use crate::logging::LogArgs;
use crate::output::format::say;
use crate::output::units;
use crate::runtime::{Runtime, RuntimeArgs, block_on_all, stop_at_signals};

/// Run the runtime against an existing NATS server, or one pipeline over files with --local
#[derive(Args)]
pub struct Run {
    /// Folder for keyed state; without it a temporary one, and state comes from checkpoints and logs at every start
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Context of the nats CLI for the account that only this runtime enters: logs, checkpoints and desired state are kept
    /// there, and the other account has sources, sinks and users; without it one account has all
    #[arg(long, value_name = "NAME", env = "MILLSTREAM_ENGINE_CONTEXT")]
    engine_context: Option<String>,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    local: LocalArgs,
}

impl Run {
    /// Runs until the input ends (`--local`), or until SIGINT or SIGTERM.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        if self.local.local {
            self.log.start("warn")?;
            return self.local.run(self.data.as_deref());
        }
        self.log.start("info")?;
        let temporary = tempfile::Builder::new()
            .prefix("millstream-run-")
            .tempdir()
            .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
        let data = self.data.as_deref().unwrap_or(temporary.path());
        block_on_all(self.serve(app, data))?;
        Ok(Exit::Ok)
    }

    async fn serve(&self, app: &App, data: &Path) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        stop_at_signals(stop.clone())?;
        let opened = tokio::select! {
            opened = self.open(app, data) => opened?,
            () = stop.cancelled() => return Ok(()),
        };
        let Opened { runtime, server } = opened;
        say(&format!("serving at {server}; metrics and health at {}", runtime.http()));
        runtime.run(stop).await;
        Ok(())
    }

    /// Connects and opens what the node needs. A server that is not there yet, or has no JetStream at the moment, is waited
    /// for: it is started beside us as often as before us.
    async fn open(&self, app: &App, data: &Path) -> Result<Opened, Failure> {
        let mut said = String::new();
        let mut say_once = |failure: &Failure| {
            let message = &failure.reports[0].message;
            if *message != said {
                say(&format!("{message}; trying again every {}", units::duration(AGAIN_AFTER)));
                said.clone_from(message);
            }
        };
        loop {
            let timeout = app.global.timeout;
            let tenant = open_when_there(|| options(&app.global), timeout, &mut say_once).await?;
            let engine = match &self.engine_context {
                Some(name) => {
                    open_when_there(|| engine_options(name), timeout, &mut say_once).await?
                }
                None => tenant.clone(),
            };
            let server = tenant.options().shown_servers();
            let lease = LeaseOptions::default();
            let accounts = Accounts { engine, tenant };
            match Runtime::open(&self.runtime, lease, accounts, data).await {
                Ok(runtime) => return Ok(Opened { runtime, server }),
                Err(failure) if failure.reports[0].code == errors::STORAGE => say_once(&failure),
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// A runtime and where its server is.
struct Opened {
    runtime: Runtime,
    server: String,
}
