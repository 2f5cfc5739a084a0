//! A worker of the fraud job in a process of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use millstream_engine::crash::CrashPoint;
use millstream_tests::broker::Broker;

/// What a process dies of that aborts.
const SIGABRT: i32 = 6;

/// A `fraud-worker` process, killed when dropped. What it says is shown with a failed test.
pub struct Owner {
    process: Child,
    said: Option<JoinHandle<String>>,
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

    fn spawn(broker: &Broker, data: &Path, crash: Option<String>) -> Self {
        let program = env!("CARGO_BIN_EXE_fraud-worker");
        let mut process = Command::new(program)
            .args([&broker.server.url(), &data.display().to_string(), "4"])
            .envs(crash.map(|crash| ("MILLSTREAM_CRASH", crash)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker starts");
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
        Self { process, said: Some(said) }
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

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
