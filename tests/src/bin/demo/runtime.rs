//! The runtime as a child process, and the commands that are given to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a start may take. One on the folder of a runtime that was killed need not wait for its claim to expire.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a graceful stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often somebody who waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Lines of the runtime's log that are shown after a failure.
const LAST_WORDS_LINES: usize = 20;

/// A runtime on one server and one data folder, whether it runs or not.
pub struct Runtime {
    program: PathBuf,
    server: String,
    data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Runtime {
    /// Nothing is started yet. State and log go into `folder`.
    pub fn new(program: PathBuf, server: String, folder: &Path) -> Self {
        let (data, log) = (folder.join("state"), folder.join("runtime.log"));
        Self { program, server, data, log, child: None }
    }

    /// Starts the process. It ends with this one, however this one ends.
    ///
    /// Must be called on the thread that lives as long as the process: the kernel ties the child to it.
    pub fn start(&mut self) -> Result<u32> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("open {}", self.log.display()))?;
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--http", "127.0.0.1:0", "--server", &self.server, "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        die_with_parent(&mut command);
        let child = command.spawn().with_context(|| format!("start {}", self.program.display()))?;
        let pid = child.id().context("the runtime ended at once")?;
        self.child = Some(child);
        Ok(pid)
    }

    /// SIGKILL. Returns when the process is gone.
    pub async fn kill9(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("kill the runtime")?;
        }
        Ok(())
    }

    /// SIGTERM: what is computed is committed and published. Fails when the process does not end well in time.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process(pid, Signal::TERM).context("ask the runtime to end")?;
        }
        let ended = timeout(STOP_TIMEOUT, child.wait()).await;
        let status = ended.context("the runtime does not end when asked to")??;
        if !status.success() {
            bail!("the runtime ended with {status}");
        }
        Ok(())
    }

    /// Waits until pipelines can be applied.
    pub async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while let Err(error) = self.ask(&["get", "--timeout", "2s"]).await {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok()?) {
                bail!("the runtime ended with {status}");
            }
            if Instant::now() > deadline {
                return Err(error.context("the runtime does not answer"));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// `millstream apply --wait` of a manifest. Returns what was done: `created`, `changed` or `unchanged`.
    pub async fn apply(&self, manifest: &Path) -> Result<String> {
        let manifest = manifest.to_str().context("a manifest's path is UTF-8")?;
        let answer = self.ask(&["apply", "-f", manifest, "--wait", "--timeout", "60s"]).await?;
        let outcome = answer["outcome"].as_str();
        Ok(outcome.with_context(|| format!("apply answered {answer}"))?.to_owned())
    }

    /// Digest of the module that a pipeline is to run, and of the one that its last commits used.
    pub async fn module(&self, pipeline: &str) -> Result<(String, String)> {
        let answer = self.ask(&["get"]).await?;
        let mut listed = answer.as_array().into_iter().flatten();
        let info = listed.find(|info| info["name"] == pipeline);
        let info = info.with_context(|| format!("get does not list {pipeline}"))?;
        let stage = &info["status"]["stages"][0];
        let wanted = stage["name"].as_str().and_then(|stage| info["modules"][stage].as_str());
        match (wanted, stage["module"].as_str()) {
            (Some(wanted), Some(used)) => Ok((wanted.to_owned(), used.to_owned())),
            _ => Err(anyhow!("get answered {info}")),
        }
    }

    /// Waits until a pipeline's commits are made by the module that it is to run. Returns that one's digest.
    pub async fn module_in_use(&self, pipeline: &str) -> Result<String> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let (wanted, used) = self.module(pipeline).await?;
            if wanted == used {
                return Ok(wanted);
            }
            if Instant::now() > deadline {
                bail!("{pipeline} is to run module {wanted} and still runs {used}");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The last lines of the runtime's log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join("\n")
    }

    /// Runs a command of the CLI and returns its JSON. What it says on stderr is the error when it fails.
    async fn ask(&self, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(args).args(["--server", &self.server, "-o", "json"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("run the CLI")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("millstream {}: {}", args.join(" "), said.trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("millstream {} did not print JSON", args.join(" ")))
    }
}

/// Has the kernel kill the child when the thread that starts it dies, however that happens.
fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only async-signal-safe functions may be called; this is a bare system call.
    unsafe {
        command
            .pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}
