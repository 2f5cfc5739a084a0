//! A worker in a process of its own: of the fraud job, or of pipelines of which it tells how far they are.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use millstream_engine::crash::CrashPoint;
use millstream_tests::broker::Broker;
use millstream_tests::job::Job;
use millstream_tests::progress::Progress;

/// What a process dies of that aborts.
const SIGABRT: i32 = 6;

/// A process of a worker, killed when dropped. What it says is shown with a failed test.
pub struct Owner {
    process: Child,
    said: Option<JoinHandle<String>>,
    told: Option<JoinHandle<()>>,
}

/// How a process runs jobs.
pub struct JobSettings<'a> {
    /// Its folder.
    pub data: &'a Path,
    /// Folder of compiled modules.
    pub compiled: &'a Path,
    /// Time between checkpoints, milliseconds.
    pub checkpoint_interval_ms: u64,
    /// Partitions of every stage; none: as the manifests say.
    pub partitions: Option<u16>,
}

impl Owner {
    /// One that runs until it is killed or fenced.
    pub fn start(broker: &Broker, data: &Path) -> Self {
        Self::spawn(broker, data, None)
    }

    /// One that dies when it reaches a crash point for the `count`th time.
    pub fn start_doomed(broker: &Broker, data: &Path, point: CrashPoint, count: usize) -> Self {
        Self::spawn(broker, data, Some(format!("{point}@{count}")))
    }

    /// One whose source vanishes as it is acknowledged; it dies at a crash point if one is given.
    pub fn start_consuming(
        broker: &Broker,
        data: &Path,
        crash: Option<(CrashPoint, usize)>,
    ) -> Self {
        let mut command = fraud_worker(broker, data);
        let crash = crash.map(|(point, count)| format!("{point}@{count}"));
        command.arg("consume").envs(crash.map(|crash| ("MILLSTREAM_CRASH", crash)));
        Self::run(command)
    }

    /// One with a transactional sink.
    pub fn start_transactional(broker: &Broker, data: &Path) -> Self {
        let mut command = fraud_worker(broker, data);
        command.arg("transactional");
        Self::run(command)
    }

    /// One with a transactional sink that stops when it reaches a crash point for the `count`th time, until it is sent SIGCONT.
    pub fn start_drowsy(broker: &Broker, data: &Path, (point, count): (CrashPoint, usize)) -> Self {
        let mut command = fraud_worker(broker, data);
        command.arg("transactional");
        command.env("MILLSTREAM_PAUSE", format!("{point}@{count}"));
        Self::run(command)
    }

    /// Whether it is stopped, by itself or by a signal.
    pub fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        // The state is behind the name, which is in parentheses.
        let status = status.expect("it has not ended");
        status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// One of some jobs, which notes how far they are until it is killed.
    pub fn of_jobs(
        broker: &Broker,
        jobs: &[Job],
        settings: &JobSettings<'_>,
        progress: &Arc<Progress>,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"));
        command.arg(broker.server.url()).arg(settings.data).arg(settings.compiled);
        command.arg(settings.checkpoint_interval_ms.to_string());
        for job in jobs {
            let partitions = job.partitions(settings.partitions).unwrap_or(0);
            command.arg(&job.manifest).arg(partitions.to_string());
        }
        command.stdout(Stdio::piped());
        let mut owner = Self::run(command);
        let stdout = BufReader::new(owner.process.stdout.take().expect("piped"));
        let progress = Arc::clone(progress);
        owner.told = Some(std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The last line may have been cut off.
                if let Some((name, value)) = line.split_once(' ')
                    && let Ok(value) = value.parse()
                {
                    progress.note(name, value);
                }
            }
        }));
        owner
    }

    fn spawn(broker: &Broker, data: &Path, crash: Option<String>) -> Self {
        let mut command = fraud_worker(broker, data);
        command.envs(crash.map(|crash| ("MILLSTREAM_CRASH", crash)));
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = process.expect("the worker starts");
        let stderr = BufReader::new(process.stderr.take().expect("piped"));
        // Read all the time: a full pipe would stop it.
        let said = std::thread::spawn(move || {
            let mut all = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("owner: {line}");
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        Self { process, said: Some(said), told: None }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.process.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
        if let Some(told) = self.told.take() {
            told.join().expect("no panic");
        }
    }

    /// Waits until it ends by itself; what it said.
    pub async fn end(self) -> String {
        let (status, said) = self.ended().await;
        assert!(!status.success(), "{status}: {said}");
        said
    }

    /// Waits until it dies at its crash point.
    pub async fn died(self) {
        let (status, said) = self.ended().await;
        assert_eq!(status.signal(), Some(SIGABRT), "{status}: {said}");
    }

    async fn ended(mut self) -> (ExitStatus, String) {
        let said = self.said.take().expect("taken once");
        let said = tokio::task::spawn_blocking(move || said.join()).await.expect("no panic");
        (self.process.wait().expect("it ends"), said.expect("no panic"))
    }
}

fn fraud_worker(broker: &Broker, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraud-worker"));
    command
        .args([&broker.url(), &data.display().to_string(), "4", &broker.replicas().to_string()])
        .stdout(Stdio::null());
    command
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
