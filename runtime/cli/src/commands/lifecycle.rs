//! What pausing, resuming, stopping and deleting have in common: print what the runtime answered, and wait until it is so.

use millstream_control::api::pipelines::{Get, List, PipelineInfo};
use millstream_control::api::status::Phase;
use millstream_control::errors;

use crate::cli::App;
use crate::connection::Remote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::progress;

/// Waits until the pipeline is in a phase. A pipeline that fails meanwhile ends the wait.
pub async fn wait_for_phase(
    remote: &Remote,
    name: &str,
    phase: Phase,
) -> Result<PipelineInfo, Failure> {
    let bar = progress::spinner(&format!("{name}: waiting for {}", word(phase)));
    let what = format!("pipeline {name} is not {}", word(phase));
    let reached = remote.wait(&what, async || {
        let info = remote.call(&Get { pipeline: name.to_owned() }).await?;
        let Some(status) = &info.status else {
            return Ok(None);
        };
        if status.phase == Phase::Failed && phase != Phase::Failed {
            return Err(failed(name, status.reason.clone()));
        }
        Ok((status.phase == phase).then_some(info))
    });
    let reached = reached.await;
    bar.finish_and_clear();
    reached
}

/// Waits until a pipeline that was changed runs with the modules that are new. `before` is what it was.
pub async fn wait_until_taken(
    remote: &Remote,
    name: &str,
    before: Option<&PipelineInfo>,
) -> Result<(), Failure> {
    let get = async || remote.call(&Get { pipeline: name.to_owned() }).await;
    let what = format!("pipeline {name} does not run");
    let taken = remote.wait(&what, async || {
        let info = get().await?;
        let Some(status) = info.status.filter(|status| status.phase == Phase::Running) else {
            return Ok(None);
        };
        // Partitions tell the module that they call; it changes at a commit boundary.
        let is_taken = status.stages.iter().all(|stage| {
            let old = before.and_then(|before| before.modules.get(&stage.name));
            old == info.modules.get(&stage.name)
                || stage.partitions.iter().all(|partition| Some(&partition.module) != old)
        });
        Ok(is_taken.then_some(()))
    });
    // A pipeline that failed before the change says so until it is started again, so only the end of patience tells.
    match taken.await {
        Ok(()) => Ok(()),
        Err(late) => match get().await?.status {
            Some(status) if status.phase == Phase::Failed => Err(failed(name, status.reason)),
            _ => Err(late),
        },
    }
}

/// What is said of a pipeline that failed.
fn failed(name: &str, reason: Option<String>) -> Failure {
    let reason = reason.unwrap_or_else(|| "no reason given".to_owned());
    Failure::coded(errors::PIPELINE_FAILED, format!("pipeline {name} failed: {reason}"))
        .help(format!("`millstream describe {name}` shows each partition"))
}

/// Waits until the pipeline is no longer listed.
pub async fn wait_until_gone(remote: &Remote, name: &str) -> Result<(), Failure> {
    let bar = progress::spinner(&format!("{name}: waiting until it is deleted"));
    let what = format!("pipeline {name} is not deleted");
    let gone = remote.wait(&what, async || {
        let listing = remote.call(&List {}).await?;
        Ok(listing.pipelines.iter().all(|info| info.name != name).then_some(()))
    });
    let gone = gone.await;
    bar.finish_and_clear();
    gone
}

/// Prints the pipeline as a change left it.
pub fn print(app: &App, info: &PipelineInfo, done: &str) -> Result<Exit, Failure> {
    match app.out.is_for_people() {
        true => say(&format!("pipeline {}: {done}", info.name)),
        false => app.out.one(info, &info.name, Vec::new)?,
    }
    Ok(Exit::Ok)
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Stopped => "stopped",
        Phase::Failed => "failed",
    }
}
