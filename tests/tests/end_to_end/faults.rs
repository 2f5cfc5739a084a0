//! Owners that are killed and paused, a server that is killed: the outputs are exact all the same.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use millstream_tests::broker::Broker;
use millstream_tests::golden_job::{GoldenJob, broker};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Kills of the owner in one run.
const KILLS: usize = 20;

/// A `fraud-worker` process, killed when dropped. What it says is shown with a failed test.
struct Owner {
    process: Child,
    said: Option<JoinHandle<String>>,
}

impl Owner {
    fn start(broker: &Broker, data: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_fraud-worker");
        let mut process = Command::new(program)
            .args([&broker.server.url(), &data.display().to_string(), "4"])
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
    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.process.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    fn kill(mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// Waits until it ends by itself; what it said.
    async fn end(mut self) -> String {
        let said = self.said.take().expect("taken once");
        let said = tokio::task::spawn_blocking(move || said.join()).await.expect("no panic");
        assert!(!self.process.wait().expect("it ends").success());
        said.expect("no panic")
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn job() -> GoldenJob {
    GoldenJob::fraud("input_inorder", "fraud")
}

/// Lines of the input in as many parts.
fn parts(records: &[u8], count: usize) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = records.split_inclusive(|b| *b == b'\n').collect();
    lines.chunks(lines.len().div_ceil(count)).map(<[&[u8]]>::concat).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_of_the_owner_under_load_lose_and_double_nothing() {
    let seed: u64 =
        std::env::var("MILLSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(17);
    eprintln!("seed {seed}: repeat with MILLSTREAM_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (broker, job) = (broker().await, job());
    let data = tempfile::tempdir().unwrap();
    let mut published = 0;
    for part in parts(&job.records, KILLS) {
        let owner = Owner::start(&broker, data.path());
        published += part.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        broker.publish_lines("tx", &part).await;
        // Any moment between the first new output and the last is as good as another: how many
        // outputs are waited for is random. Several outputs of the part may never come before the kill.
        let wanted = random.random_range(0..published);
        let found =
            tokio::time::timeout(Duration::from_secs(30), broker.read("RESULTS", wanted)).await;
        found.expect("the outputs come");
        owner.kill();
    }
    let _last = Owner::start(&broker, data.path());
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_owner_that_wakes_up_writes_nothing_that_counts() {
    let (broker, job) = (broker().await, job());
    let (first_data, second_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parts = parts(&job.records, 3);
    broker.publish_lines("tx", &parts[0]).await;
    let first = Owner::start(&broker, first_data.path());
    broker.read("RESULTS", 1_000).await;
    first.signal("STOP");
    broker.publish_lines("tx", &parts[1]).await;
    let _second = Owner::start(&broker, second_data.path());
    broker.read("RESULTS", 10_000).await;
    first.signal("CONT");
    broker.publish_lines("tx", &parts[2]).await;
    let said = first.end().await;
    assert!(said.contains("another node took the partition over"), "{said}");
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_server_lose_and_double_nothing() {
    let (mut broker, job) = (broker().await, job());
    let data = tempfile::tempdir().unwrap();
    let _owner = Owner::start(&broker, data.path());
    for part in parts(&job.records, 4) {
        broker.publish_lines("tx", &part).await;
        broker.restart().await;
    }
    job.is_exact(&broker).await;
}
