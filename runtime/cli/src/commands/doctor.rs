//! `millstream doctor`: what is wrong, or will be, and what to do about it.

use std::path::PathBuf;

use clap::Args;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::doctor::{Finding, Level, checks, gather};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;

/// Check the server, the account, the runtime, logs, sources and sinks, and say what to do
///
/// Exits with 1 if a check failed; warnings alone exit with 0.
#[derive(Args)]
pub struct Doctor {
    /// Also check the disk space of this data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Doctor {
    /// Looks, judges, prints.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let mut findings: Vec<_> =
            self.data.iter().map(|folder| checks::disk(&gather::disk(folder))).collect();
        findings.extend(block_on(connected(app))?);
        app.out.list(&findings, "nothing was checked")?;

        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        let (failed, warned, unknown) =
            (count(Level::Fail), count(Level::Warn), count(Level::Unknown));
        say(&format!(
            "{} checks: {failed} failed, {warned} warnings, {unknown} to be looked at by a person",
            findings.len()
        ));
        Ok(if failed > 0 { Exit::Failure } else { Exit::Ok })
    }
}

/// What can be seen through a connection. No connection is a finding, not the end.
async fn connected(app: &App) -> Result<Vec<Finding>, Failure> {
    let remote = match Remote::connect(app).await {
        Ok(remote) => remote.with_timeout(app.global.timeout.min(gather::RUNTIME_TIMEOUT)),
        Err(failure) => {
            // A failure has at least one report.
            let Some(report) = failure.reports.into_iter().next() else { return Ok(Vec::new()) };
            let advice =
                report.help.unwrap_or_else(|| "check the address and the credentials".to_owned());
            return Ok(vec![Finding::fail("connection", report.message, advice)]);
        }
    };
    let server = gather::server(remote.connection()).await?;
    let streams = gather::streams(remote.connection()).await?;
    let runtime = gather::runtime(&remote, &streams).await?;

    let address = remote.connection().options().shown_servers();
    let mut findings = vec![Finding::ok("connection", address)];
    findings.extend(checks::server(&server));
    findings.extend(checks::runtime(&runtime));
    for stream in streams.iter().filter(|stream| gather::is_log(stream)) {
        findings.extend(checks::log(stream, server.clustered));
    }
    findings.extend(runtime.sources.iter().map(checks::source));
    findings.extend(runtime.sinks.iter().map(checks::sink));
    Ok(findings)
}
