//! A node of a run: a process that is started, killed, paused and told what to do, and its connections to the servers.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::BUG_VARIABLE;
use super::proxy::{Mode, Proxy};
use crate::crash;

/// Folder of compiled modules, beside the program of the nodes.
const CACHE: &str = "fault-node-cache";

/// A node.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Folder of its state.
    pub data: PathBuf,
    program: PathBuf,
    bug: Option<String>,
    replicas: usize,
    links: Vec<Proxy>,
    process: Option<Process>,
    said: Arc<Mutex<String>>,
}

struct Process {
    child: Child,
    orders: ChildStdin,
}

impl Node {
    /// A node that does not run yet, with a folder of its own in `folder`, connected to the servers on these ports.
    pub async fn new(
        program: &Path,
        folder: &Path,
        name: &str,
        servers: &[u16],
        bug: Option<String>,
    ) -> Result<Self> {
        let mut links = Vec::new();
        for port in servers {
            links.push(Proxy::start(*port).await.context("a port for a proxy")?);
        }
        Ok(Self {
            name: name.to_owned(),
            data: folder.join(name),
            program: program.to_owned(),
            bug,
            replicas: servers.len(),
            links,
            process: None,
            said: Arc::default(),
        })
    }

    /// Starts the process; with `crash` (`POINT@COUNT`) it dies at that point.
    pub fn start(&mut self, crash: Option<&str>) -> Result<()> {
        let servers: Vec<String> = self.links.iter().map(Proxy::url).collect();
        let home = self.data.parent().expect("a folder in a folder");
        // The shell has the process ignore the signal of a file that becomes too large: then writing it fails, as on a full disk.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(&self.program)
            .args(["run", "--http", "127.0.0.1:0", "--node", &self.name, "--data"])
            .arg(&self.data)
            .args(["--replicas", &self.replicas.to_string(), "--server", &servers.join(",")])
            .env("HOME", home)
            // Modules are compiled once for all runs.
            .env("XDG_CACHE_HOME", self.program.with_file_name(CACHE))
            .env("NO_COLOR", "1")
            .envs(crash.map(|crash| (crash::VARIABLE, crash)))
            .envs(self.bug.as_ref().map(|bug| (BUG_VARIABLE, bug)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for name in ["XDG_CONFIG_HOME", "NATS_URL", "NATS_CONTEXT", "NATS_CREDS"] {
            command.env_remove(name);
        }
        let mut child = command.spawn().context("start a node")?;
        let orders = child.stdin.take().context("a pipe")?;
        let stderr = BufReader::new(child.stderr.take().context("a pipe")?);
        let (said, name) = (Arc::clone(&self.said), self.name.clone());
        let shown = std::env::var_os("MILLSTREAM_FAULTS_LOG").is_some();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if shown {
                    eprintln!("{name}: {line}");
                }
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        self.process = Some(Process { child, orders });
        Ok(())
    }

    /// SIGKILL. Returns when the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    /// Whether the process has ended by itself.
    pub fn has_died(&mut self) -> bool {
        match &mut self.process {
            Some(process) => process.child.try_wait().is_ok_and(|ended| ended.is_some()),
            None => true,
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    fn pid(&self) -> Result<Pid> {
        let process = self.process.as_ref().context("the node does not run")?;
        Ok(Pid::from_child(&process.child))
    }

    /// Gives an order to the process.
    pub fn order(&mut self, order: &str) -> Result<()> {
        let process = self.process.as_mut().context("the node does not run")?;
        Ok(writeln!(process.orders, "{order}")?)
    }

    /// Lets no file of the process become larger than so many bytes; none: as large as the disk takes.
    pub fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.pid()?), Resource::Fsize, limit)?;
        Ok(())
    }

    /// Treats all its connections like this.
    pub fn link(&self, mode: Mode) {
        self.links.iter().for_each(|link| link.set(mode));
    }

    /// How often a text has come in what it said.
    pub fn said(&self, text: &str) -> usize {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).matches(text).count()
    }

    /// The last lines that it said.
    pub fn last_words(&self, lines: usize) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<&str> = said.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
