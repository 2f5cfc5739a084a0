//! What the runtime says while it runs: `tracing` events on stderr.

use std::io::IsTerminal;

use clap::Args;
use millstream_control::errors;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Environment variable with the filter, as in `info,millstream_engine=debug`.
const FILTER_VARIABLE: &str = "MILLSTREAM_LOG";

/// How the runtime logs.
#[derive(Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// What is logged: error, warn, info, debug or trace, also per module (info,millstream_log=debug)
    #[arg(long, value_name = "FILTER", env = FILTER_VARIABLE)]
    log: Option<String>,

    /// Log JSON, one document per line
    #[arg(long)]
    log_json: bool,
}

impl LogArgs {
    /// Starts logging, with `default` where nothing was asked for. Once per process.
    pub fn start(&self, default: &str) -> Result<(), Failure> {
        let wanted = self.log.as_deref().unwrap_or(default);
        let filter = EnvFilter::try_new(wanted).map_err(|error| {
            Failure::coded(errors::USAGE, format!("`{wanted}` is not a filter for the log"))
                .because(&error)
                .help("write a level (`info`), or levels per module: `info,millstream_log=debug`")
        })?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self.log_json {
            true => log.json().flatten_event(true).init(),
            false => log.with_ansi(std::io::stderr().is_terminal() && !plain).init(),
        }
        Ok(())
    }
}
