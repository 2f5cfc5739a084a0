//! `dev`: a server and a runtime in one process, and the commands that talk to it. Needs a `nats-server` (`cargo xtask
//! setup`) and the shipped modules (`cargo xtask build`).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::millstream::{Called, Millstream, root};

/// A running `millstream dev`.
struct Dev {
    millstream: Millstream,
    child: Child,
    stderr: BufReader<ChildStderr>,
    nats: String,
    http: String,
}

impl Dev {
    fn start() -> Self {
        let millstream = Millstream::new();
        let mut command = millstream.command(["dev", "--port", "0", "--http", "127.0.0.1:0"]);
        // The one that `cargo xtask setup` fetched lies under the real home.
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let ready = loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).expect("UTF-8");
            assert!(read > 0, "it ended before it was ready:\n{said}");
            if line.starts_with("ready: ") {
                break line;
            }
            said.push_str(&line);
        };
        let url = |scheme: &str| {
            let rest =
                ready.split(scheme).nth(1).unwrap_or_else(|| panic!("no {scheme} in {ready}"));
            let end = rest.find([',', ';', ' ', '\n']).unwrap_or(rest.len());
            rest[..end].to_owned()
        };
        let (nats, http) = (format!("nats://{}", url("nats://")), url("http://"));
        Dev { millstream, child, stderr, nats, http }
    }

    fn call(&self, args: &[&str]) -> Called {
        self.millstream.call(args.iter().copied().chain(["--server", &self.nats]))
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).expect("connect");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receive");
        answer
    }

    /// Ctrl-c; gives the exit code and what was said since it was ready.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("it runs");
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("it ends").code(), said)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn module(name: &str) -> String {
    let path = root().join("udfs/dist").join(name);
    assert!(path.is_file(), "{} is missing: run `cargo xtask build`", path.display());
    path.display().to_string()
}

#[test]
fn ctrl_c_drains_and_exits_with_0() {
    let dev = Dev::start();
    assert!(dev.get("/healthz").contains(" 200 "));
    assert!(dev.get("/readyz").contains(" 200 "));
    assert!(dev.get("/metrics").contains(" 200 "));
    assert!(dev.get("/nope").contains(" 404 "));
    let (code, said) = dev.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("draining"), "{said}");
}

#[test]
fn modules_are_pushed_listed_shown_and_removed() {
    let dev = Dev::start();
    let file = module("card-fraud.wasm");
    let listed = |dev: &Dev| dev.call(&["module", "ls", "-o", "name"]).ok().stdout;
    assert_eq!(listed(&dev), "");

    assert_eq!(
        dev.call(&["module", "push", &file, "-o", "name"]).ok().stdout,
        "card-fraud@1.0.0\n"
    );
    let again = dev.call(&["module", "push", &file]).ok();
    assert!(again.stderr.contains("is there already"), "{again:?}");
    assert_eq!(listed(&dev), "card-fraud@1.0.0\n");
    let shown = dev.call(&["module", "show", "card-fraud"]).ok().stdout;
    for words in ["txn_id: text", "small_expired (event-time)", "profile (value"] {
        assert!(shown.contains(words), "{words} is not in:\n{shown}");
    }
    let json = dev.call(&["get", "modules", "-o", "json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["name"], "card-fraud");

    dev.call(&["module", "show", "nope"]).failed(4, &["nope", "MS1301"]);
    dev.call(&["module", "rm", "card-fraud@1.0.0"]).ok();
    assert_eq!(listed(&dev), "");
    dev.millstream.file("no.wasm", "\0asm....");
    dev.call(&["module", "push", "no.wasm"]).failed(3, &["MS1112", "no.wasm"]);
}

#[test]
fn pipelines_are_applied_compared_and_deleted() {
    let dev = Dev::start();
    let text = std::fs::read_to_string(root().join("examples/credit-score/pipeline.yaml"))
        .expect("the example");
    let text = text.replace("../../udfs/dist/credit-score.wasm", &module("credit-score.wasm"));
    dev.millstream.file("p.yaml", &text);
    dev.millstream.file("changed.yaml", &text.replace("base: 600", "base: 650"));
    dev.millstream.file("refused.yaml", &text.replace("partitions: 4", "partitions: 5"));

    dev.call(&["diff", "-f", "p.yaml", "--exit-code"]).failed_with_data(8, "does not exist yet");
    dev.call(&["apply", "-f", "p.yaml", "--dry-run"]).ok();
    assert_eq!(dev.call(&["get", "-o", "name"]).ok().stdout, "");
    assert_eq!(dev.call(&["apply", "-f", "p.yaml", "-o", "name"]).ok().stdout, "credit-score\n");
    assert_eq!(dev.call(&["get", "-o", "name"]).ok().stdout, "credit-score\n");
    dev.call(&["diff", "-f", "p.yaml", "--exit-code"]).ok();
    dev.call(&["diff", "-f", "changed.yaml", "--exit-code"])
        .failed_with_data(8, "- 600\n    + 650");
    dev.call(&["validate", "--online", "-f", "changed.yaml"]).ok();
    dev.call(&["apply", "-f", "refused.yaml"])
        .failed(5, &["MS1203", "refused.yaml:", "partitions"]);
    dev.call(&["apply", "-f", "p.yaml", "--if-revision", "77"]).failed(5, &["MS1311"]);
    let manifest = dev.call(&["describe", "credit-score", "--manifest"]).ok().stdout;
    assert_eq!(manifest.trim_end(), text.trim_end());

    dev.call(&["describe", "nope"]).failed(4, &["MS1310", "nope"]);
    dev.call(&["delete", "credit-score", "--yes", "--wait"]).ok();
    assert_eq!(dev.call(&["get", "-o", "name"]).ok().stdout, "");
}

#[test]
fn records_are_published_and_the_doctor_is_content() {
    let dev = Dev::start();
    dev.millstream.file("in.ndjson", "{}\n\n{}\n");
    dev.call(&["publish", "nowhere", "--input", "in.ndjson"])
        .failed(4, &["no stream captures subject nowhere"]);
    let doctor = dev.call(&["doctor", "-o", "json"]).ok();
    let findings: serde_json::Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    let level = |check: &str| {
        let found = findings.as_array().expect("a list").iter().find(|one| one["check"] == check);
        found.unwrap_or_else(|| panic!("{check} was not checked: {findings}"))["level"].clone()
    };
    assert_eq!(level("server version"), "ok");
    assert_eq!(level("runtime"), "ok");
    assert_eq!(level("sync_interval"), "unknown");
}
