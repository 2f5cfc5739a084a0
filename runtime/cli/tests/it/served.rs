//! A nats-server of the test and `millstream run` on it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;
use millstream_log::connect::Connection;
use millstream_log::server::{NatsServer, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};

use crate::millstream::{Called, Millstream, root};

/// How long a test waits for something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server with the streams `COMMANDS` (`commands.>`) and `ECHOES` (`echoes`), and a folder for runtimes.
pub struct Served {
    pub millstream: Millstream,
    pub server: NatsServer,
    pub connection: Connection,
}

impl Served {
    pub async fn start() -> Self {
        let server = NatsServer::start(ServerOptions::default()).await.expect("a nats-server");
        let connection = server.connect().await.expect("a connection");
        let served = Served { millstream: Millstream::new(), server, connection };
        served.stream("COMMANDS", "commands.>").await;
        served.stream("ECHOES", "echoes").await;
        served
    }

    pub async fn stream(&self, name: &str, subject: &str) {
        let config =
            Config { name: name.into(), subjects: vec![subject.into()], ..Config::default() };
        self.connection.jetstream().create_stream(config).await.expect("a stream");
    }

    pub async fn messages(&self, stream: &str) -> u64 {
        let stream = self.connection.jetstream().get_stream(stream).await.expect("the stream");
        stream.cached_info().state.messages
    }

    /// Calls a command against the server.
    pub fn call(&self, args: &[&str]) -> Called {
        let url = self.server.url();
        self.millstream.call(args.iter().copied().chain(["--server", &url]))
    }

    /// Applies a pipeline around the guest `misbehave`, which echoes every record's `do` that is no command.
    pub fn apply(&self, name: &str, partitions: u16) {
        let guest = root().join("tests/guests/dist/misbehave.wasm");
        assert!(guest.is_file(), "{} is missing: run `cargo xtask build`", guest.display());
        let text = format!(
            "name: {name}
sources:
  commands: {{ stream: COMMANDS }}
stages:
  work:
    module: {{ file: {} }}
    partitions: {partitions}
    inputs:
      commands: {{ key: {{ pointer: /id }} }}
    config: {{ limit: 5 }}
    outputs:
      echo: echoes
sinks:
  echoes: {{ subject: echoes }}
",
            guest.display()
        );
        self.millstream.file("p.yaml", &text);
        self.call(&["apply", "-f", "p.yaml"]).ok();
    }

    /// Publishes one record per command, with keys `k0`, `k1` and so on.
    pub fn publish(&self, commands: &[&str]) {
        let lines = commands
            .iter()
            .enumerate()
            .map(|(index, command)| format!("{{\"id\":\"k{index}\",\"do\":\"{command}\"}}\n"));
        self.millstream.file("in.ndjson", &lines.collect::<String>());
        self.call(&["publish", "commands.x", "--input", "in.ndjson"]).ok();
    }

    /// Asks until there is an answer.
    pub fn until<T>(&self, what: &str, probe: impl Fn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        }
    }

    /// Starts `millstream run` on the folder `state`.
    pub fn run(&self) -> Run {
        let mut run = self.launch();
        run.until_it_serves();
        run
    }

    /// The same, without waiting until it serves.
    pub fn launch(&self) -> Run {
        self.launch_node("state")
    }

    /// Starts a node of this name on the folder of this name, without waiting until it serves.
    pub fn launch_node(&self, name: &str) -> Run {
        let url = self.server.url();
        let args =
            ["run", "--http", "127.0.0.1:0", "--node", name, "--data", name, "--server", &url];
        Run::of(self.millstream.command(args))
    }

    /// A runtime that owns the pipelines.
    pub fn serve(&self) -> Run {
        let run = self.run();
        self.until("the runtime answers", || (self.call(&["info"]).code == 0).then_some(()));
        run
    }
}

/// A running `millstream run`.
pub struct Run {
    child: Child,
    http: String,
    // A pipe that nobody holds would end the process that writes to it.
    stderr: BufReader<ChildStderr>,
}

impl Run {
    /// Starts it.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Run { child, http: String::new(), stderr }
    }

    /// Waits for a line that begins so; it.
    pub fn until_it_says(&mut self, beginning: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("UTF-8");
            assert!(read > 0, "it ended before it said `{beginning}`:\n{said}");
            if line.starts_with(beginning) {
                return line;
            }
            said.push_str(&line);
        }
    }

    /// Waits until pipelines can be applied and its HTTP endpoint is known.
    pub fn until_it_serves(&mut self) {
        let line = self.until_it_says("serving at ");
        line.split("http://").nth(1).expect("an address").trim().clone_into(&mut self.http);
    }

    /// Status and body of a path of the HTTP endpoint.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).expect("connect");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receive");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// The most memory that the process has had, bytes.
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("a number") << 10
    }

    /// SIGTERM. Returns when the process has ended, which must be its own doing.
    pub fn end(mut self) {
        self.signal(Signal::TERM);
        // What it says meanwhile must not fill the pipe.
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success(), "{said}");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// SIGKILL. Returns when the process is gone, with what it logged.
    pub fn kill9(mut self) -> String {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        said
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
