//! Runs the tutorial: every `sh` block in order, and compares what it prints with the `text` block below it, and its Rust with the
//! project that it makes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::fences::{Fence, fences};
use crate::millstream::{as_a_user, root};

/// A block of the page.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    /// Commands, run one after the other; the lines that must be among what they print.
    Run { commands: String, shown: Vec<String> },
    /// A command that stays, until the end.
    Background { command: String },
    /// Lines of the project's function, in this order; what is left out is `...`.
    Excerpt { code: String },
}

/// Takes the blocks out of the page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for Fence { info, body, .. } in fences(page) {
        match info.as_str() {
            "sh" => blocks.push(Block::Run { commands: body, shown: Vec::new() }),
            "sh background" => blocks.push(Block::Background { command: body }),
            "rust" => blocks.push(Block::Excerpt { code: body }),
            "text" => match blocks.last_mut() {
                Some(Block::Run { shown, .. }) => shown.extend(body.lines().map(str::to_owned)),
                _ => panic!("a `text` block stands below no `sh` block: {body:?}"),
            },
            _ => {}
        }
    }
    blocks
}

/// Ends a process when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("an address").port()
}

#[test]
fn the_tutorial_does_what_it_says() {
    let page = fs::read_to_string(root().join("docs/tutorial.md")).expect("the tutorial");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = free_port();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_millstream"));
    let path = std::env::join_paths(
        binary
            .parent()
            .into_iter()
            .map(Into::into)
            .chain(std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))),
    )
    .expect("a PATH");

    // One shell after another, each where the last one left off.
    let mut place = folder.path().to_owned();
    let shell = |script: &str, place: &std::path::Path| {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", script])
            .current_dir(place)
            .env("PATH", &path)
            .env("NATS_URL", format!("nats://127.0.0.1:{port}"))
            .env("MILLSTREAM_PORT", port.to_string())
            .env("MILLSTREAM_HTTP", "127.0.0.1:0")
            .env("MILLSTREAM_SDK", root().join("udf-sdk"))
            .env("XDG_CONFIG_HOME", folder.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        as_a_user(&mut command);
        command
    };

    let mut background = Vec::new();
    for block in blocks(&page) {
        match block {
            Block::Background { command } => {
                let mut child = shell(&format!("exec {command}"), &place)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("sh starts");
                let stderr = BufReader::new(child.stderr.take().expect("piped"));
                background.push(Running(child));
                wait_until_ready(stderr, &command);
            }
            Block::Excerpt { code } => {
                let source = fs::read_to_string(place.join("src/lib.rs")).expect("a project");
                assert!(is_excerpt(&code, &source), "src/lib.rs has not:\n{code}");
            }
            Block::Run { commands, shown } => {
                let marker = "tutorial-now-in ";
                let script = format!("{commands}\nprintf '\\n{marker}%s\\n' \"$PWD\"");
                let output = shell(&script, &place).output().expect("sh starts");
                let stdout = String::from_utf8_lossy(&output.stdout);
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(
                    output.status.success(),
                    "{commands}\nstdout:\n{stdout}\nstderr:\n{stderr}"
                );
                for line in shown {
                    assert!(
                        stdout.contains(&line),
                        "{commands}\ndoes not print `{line}` but:\n{stdout}\n{stderr}"
                    );
                }
                let left = stdout.lines().rev().find_map(|line| line.strip_prefix(marker));
                place = left.expect("the shell says where it is").into();
            }
        }
    }
    assert!(!background.is_empty(), "the tutorial starts no server");
}

/// Whether the lines are among those of the source, in their order. `...` stands for any.
fn is_excerpt(code: &str, source: &str) -> bool {
    let mut lines = source.lines().map(str::trim);
    let mut shown = code.lines().map(str::trim).filter(|line| *line != "...");
    shown.all(|line| lines.any(|of_source| of_source == line))
}

/// Reads on until the runtime says that it is ready; the rest is read away, so that it never waits for a reader.
fn wait_until_ready(mut stderr: impl BufRead + Send + 'static, command: &str) {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        let read = stderr.read_line(&mut line).expect("UTF-8");
        assert!(read > 0, "`{command}` ended before it was ready:\n{said}");
        said.push_str(&line);
        if line.starts_with("ready") {
            break;
        }
    }
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = stderr.read_to_end(&mut rest);
    });
}

#[test]
fn blocks_are_taken_out_of_a_page() {
    let page = "a\n```sh\ncd x\nls\n```\nb\n```text\none\n```\n```rust\nfn\n```\n```sh background\nserve\n```\n";
    assert_eq!(
        blocks(page),
        [
            Block::Run { commands: "cd x\nls".to_owned(), shown: vec!["one".to_owned()] },
            Block::Excerpt { code: "fn".to_owned() },
            Block::Background { command: "serve".to_owned() },
        ]
    );
}

#[test]
fn an_excerpt_keeps_the_order_of_the_source() {
    let source = "fn a() {\n    one();\n    two();\n}\n";
    assert!(is_excerpt("fn a() {\n    ...\n    two();", source));
    assert!(!is_excerpt("two();\none();", source));
    assert!(!is_excerpt("three();", source));
}
