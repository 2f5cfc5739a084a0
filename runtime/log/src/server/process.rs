//! The child process: started, watched, ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;

use super::ServerError;

/// Lines of the log that are shown when a start fails.
const LAST_WORDS_LINES: usize = 8;
/// What the server logs before the address it listens on.
const LISTENING: &str = "Listening for client connections on ";
/// What the server logs when everything is up, JetStream included.
const READY: &str = "Server is ready";

/// A running server.
pub(super) struct Process {
    child: Child,
    ended: oneshot::Receiver<()>,
}

/// What the watching thread reports: the child at once, then the port when it is ready.
enum Report {
    Ready { port: u16 },
    Ended { last_words: String },
}

impl Process {
    /// Starts the program and waits until it says that it is ready. Its log goes to `log`.
    pub async fn start(
        program: &Path,
        config: &Path,
        log: &Path,
        timeout: Duration,
    ) -> Result<(Process, u16), ServerError> {
        let log_file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|source| ServerError::File { path: log.display().to_string(), source })?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        die_with_parent(&mut command);

        let (started, child) = oneshot::channel();
        let (report, reported) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        // The kernel ends the child when the *thread* that started it ends. So a thread of
        // its own starts it, and stays to read its log.
        let watcher =
            std::thread::Builder::new().name("nats-server-log".to_owned()).spawn(move || {
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => {
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                let stderr = child.stderr.take();
                // Nobody waits for it any more: a child nobody owns must not run.
                if let Err(Ok(mut orphan)) = started.send(Ok(child)) {
                    let _ = orphan.kill();
                    let _ = orphan.wait();
                    return;
                }
                if let Some(stderr) = stderr {
                    watch(stderr, log_file, report);
                }
                let _ = end.send(());
            });
        let start_failed =
            |source| ServerError::Start { program: program.display().to_string(), source };
        watcher.map_err(start_failed)?;
        let child = match child.await {
            Ok(child) => child.map_err(start_failed)?,
            Err(_) => return Err(start_failed(std::io::Error::other("its thread ended"))),
        };
        // From here on the child is killed when an error returns.
        let process = Process { child, ended };
        let not_ready = |what: String, log: String| ServerError::NotReady {
            program: program.display().to_string(),
            what,
            log,
        };
        match tokio::time::timeout(timeout, reported).await {
            Ok(Ok(Report::Ready { port })) => Ok((process, port)),
            Ok(Ok(Report::Ended { last_words })) => Err(not_ready("ended".to_owned(), last_words)),
            Ok(Err(_)) => Err(not_ready("ended".to_owned(), String::new())),
            Err(_) => Err(not_ready(
                format!("was not ready after {} s", timeout.as_secs()),
                log.display().to_string(),
            )),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(self) {
        drop(self);
    }

    /// SIGTERM, waits for the end, SIGKILL after the time-out.
    pub async fn stop(mut self, timeout: Duration) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: `kill` has no memory effects. The child is not reaped before `wait` in `drop`, so the id is its own.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        // The log's end is the process's end.
        let _ = tokio::time::timeout(timeout, &mut self.ended).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the kernel kill the child when the parent dies, however that happens.
fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only async-signal-safe functions may be called; `prctl` is a bare system call.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    // A Ctrl-C at the terminal is for us; we end the server when we are done with it.
    command.process_group(0);
}

/// Copies the log and reports once: ready, or ended before it was.
fn watch(stderr: ChildStderr, mut log: File, report: oneshot::Sender<Report>) {
    let mut report = Some(report);
    let mut port = None;
    let mut last_words = VecDeque::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        // A full disk must not stop the server by a full pipe.
        let _ = writeln!(log, "{line}");
        if report.is_none() {
            continue;
        }
        if last_words.len() == LAST_WORDS_LINES {
            last_words.pop_front();
        }
        if let Some((_, address)) = line.split_once(LISTENING) {
            port = address.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        }
        if line.contains(READY)
            && let Some(port) = port
            && let Some(report) = report.take()
        {
            let _ = report.send(Report::Ready { port });
        }
        last_words.push_back(line.into_owned());
    }
    if let Some(report) = report {
        let last_words = Vec::from(last_words).join("\n");
        let _ = report.send(Report::Ended { last_words });
    }
}
