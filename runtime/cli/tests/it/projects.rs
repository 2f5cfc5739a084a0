//! A project of each template as its user has it, in a folder outside this workspace: made, tested natively, built, run over
//! its cases, and one of them changed while it runs. Needs `cargo` with the target `wasm32-wasip2`; the last one a
//! `nats-server`.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::millstream::{Called, Millstream, as_a_user};

/// A project in a folder of its own.
struct Project {
    millstream: Millstream,
    folder: PathBuf,
}

impl Project {
    /// A new one.
    fn from(template: &str) -> Self {
        let millstream = Millstream::new();
        millstream.call(["new", template, "--template", template]).ok();
        let folder = millstream.folder.path().join(template);
        Project { millstream, folder }
    }

    /// The binary or `cargo` in the project's folder, with the toolchain of this machine and build results that all
    /// projects share.
    fn in_folder(&self, mut command: Command) -> Command {
        as_a_user(&mut command);
        command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", shared_target())
            .env("XDG_CACHE_HOME", self.millstream.folder.path())
            .env("XDG_CONFIG_HOME", self.millstream.folder.path());
        // rustup's and cargo's own files lie below the real home.
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        command
    }

    fn call(&self, args: &[&str]) -> Called {
        Called::of(self.in_folder(self.millstream.command(args)))
    }

    fn cargo(&self, args: &[&str]) -> Called {
        let mut command = Command::new("cargo");
        command.args(args).stdin(Stdio::null());
        Called::of(self.in_folder(command))
    }

    fn read(&self, name: &str) -> String {
        let path = self.folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("write a file");
    }
}

impl Drop for Project {
    /// Takes what was built of this project out of the shared folder: the next run's has another path, and so another name there.
    fn drop(&mut self) {
        let name = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for args in [
            &["clean", "--quiet", "-p", name][..],
            &["clean", "--quiet", "-p", name, "--target", "wasm32-wasip2", "--release"],
            &["clean", "--quiet", "-p", name, "--target", "wasm32-wasip2", "--profile", "watch"],
        ] {
            self.cargo(args);
        }
    }
}

/// Where the projects' dependencies are built, once for all of them and kept for the next run.
fn shared_target() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_millstream"));
    let target = binary.ancestors().nth(2).expect("the binary is in a profile's folder");
    target.join("projects")
}

/// Makes a project of a template and does with it what its README says, and what goes wrong.
fn lives_up_to_its_readme(template: &str) {
    let project = Project::from(template);
    let tested = project.cargo(&["test", "--quiet"]).ok();
    assert!(tested.stdout.contains("test result: ok"), "{tested:?}");

    let built = project.call(&["build", "-o", "json"]).ok();
    let modules: serde_json::Value = serde_json::from_str(&built.stdout).expect("JSON");
    assert_eq!(modules[0]["name"], template);
    assert_eq!(modules.as_array().map(Vec::len), Some(1));
    // Cargo put it elsewhere; it was copied to where the manifest names it.
    let module = project.folder.join(format!("target/wasm32-wasip2/release/{template}.wasm"));
    let size = std::fs::metadata(module).expect("the module").len();
    assert_eq!(modules[0]["size"], size);

    let passed = project.call(&["test", "--no-build"]).ok();
    assert!(passed.stdout.contains("sample  passed"), "{passed:?}");

    // A wrong expectation: the difference is shown down to the field, and taken over on request.
    let right = project.read("tests/sample/expected.ndjson");
    project.write("tests/sample/expected.ndjson", &right.replacen('{', "{\"wrong\":1,", 1));
    let failed = project.call(&["test", "--no-build"]);
    assert_eq!(failed.code, 8, "{failed:?}");
    let first = right.lines().next().expect("a line");
    for words in ["1 line differs", &format!("+    1  {first}"), "/wrong: expected 1, is not there"]
    {
        assert!(failed.stdout.contains(words), "`{words}` is not in:\n{}", failed.stdout);
    }
    assert!(failed.stderr.contains("MS1524") && failed.stderr.contains("--update"), "{failed:?}");
    let json = project.call(&["test", "--no-build", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json[0]["verdict"], "failed");
    assert_eq!(json[0]["differences"][0]["fields"][0]["field"], "/wrong");
    let updated = project.call(&["test", "--no-build", "--update"]).ok();
    assert!(updated.stdout.contains("sample  updated"), "{updated:?}");
    assert_eq!(project.read("tests/sample/expected.ndjson"), right);
}

#[test]
fn stateless() {
    lives_up_to_its_readme("stateless");
}

#[test]
fn keyed() {
    lives_up_to_its_readme("keyed");
}

#[test]
fn windowed() {
    lives_up_to_its_readme("windowed");
}

#[test]
fn pattern() {
    lives_up_to_its_readme("pattern");
}

#[test]
fn join() {
    lives_up_to_its_readme("join");
}

#[test]
fn mistakes_around_cases_are_explained() {
    let project = Project::from("join");
    project.call(&["test", "nope"]).failed(4, &["MS1522", "`nope`", "the cases are sample"]);
    std::fs::remove_dir_all(project.folder.join("tests")).expect("remove");
    project.call(&["test"]).failed(4, &["MS1522", "tests/first/input.ndjson", "--update"]);
    project.millstream.call(["test"]).failed(4, &["MS1502", "pipeline.yaml"]);
    project.millstream.call(["build"]).failed(4, &["MS1502", "pipeline.yaml"]);

    let mut without_rust = project.in_folder(project.millstream.command(["build"]));
    without_rust.env("PATH", "");
    Called::of(without_rust).failed(4, &["MS1521", "rustup target add wasm32-wasip2"]);
    project.write("src/lib.rs", "fn");
    project.call(&["build"]).failed(3, &["error: expected identifier", "MS1520"]);
    std::fs::remove_file(project.folder.join("Cargo.toml")).expect("remove");
    project.call(&["build"]).failed(3, &["MS1520", "no Cargo.toml"]);
    // Without a package nothing is built, and the module is missing.
    std::fs::create_dir_all(project.folder.join("tests/one")).expect("create");
    project.write("tests/one/orders.ndjson", "");
    project.call(&["test"]).failed(3, &["MS1111", "pipeline.yaml:"]);
}

#[test]
fn a_case_is_told_which_files_it_lacks() {
    // A pipeline without code of its own needs no package.
    let millstream = Millstream::new();
    let module = crate::millstream::root().join("udfs/dist/filter.wasm");
    let manifest = format!(
        "name: large\nsources: {{ payments: {{ stream: PAYMENTS }} }}\nstages:\n  large:\n    \
         module: {{ file: {} }}\n    inputs: {{ payments: {{ key: {{ pointer: /account }} }} }}\n    \
         config: {{ where: \"amount >= 500\" }}\n    outputs: {{ output: large }}\n    \
         on-error: dead-letter\nsinks: {{ large: {{ subject: large }} }}\n",
        module.display()
    );
    millstream.file("pipeline.yaml", &manifest);
    let case = millstream.folder.path().join("tests/one");
    std::fs::create_dir_all(&case).expect("create");
    let write = |name: &str, text: &str| std::fs::write(case.join(name), text).expect("write");

    write("inputs.ndjson", "{\"account\":\"a\",\"amount\":700}\n{\"account\":\"a\"}\n");
    let wrong = millstream.call(["test"]);
    assert_eq!(wrong.code, 8, "{wrong:?}");
    for words in ["MS1523", "input.ndjson is missing", "is inputs.ndjson meant?"] {
        assert!(wrong.stdout.contains(words), "{wrong:?}");
    }
    std::fs::rename(case.join("inputs.ndjson"), case.join("payments.ndjson")).expect("rename");
    let wrong = millstream.call(["test"]);
    assert_eq!(wrong.code, 8, "{wrong:?}");
    for words in ["expected.ndjson is missing", "dead-letters.ndjson: 1 line differs", "+    1  {"]
    {
        assert!(wrong.stdout.contains(words), "{wrong:?}");
    }
    millstream.call(["test", "--update"]).ok();
    millstream.call(["test"]).ok();
    let dead = std::fs::read_to_string(case.join("dead-letters.ndjson")).expect("dead letters");
    assert!(dead.contains("\"sequence\":2") && dead.contains("amount"), "{dead}");
}

/// A running `millstream dev --watch`.
struct Watching {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    nats: String,
}

impl Watching {
    fn start(project: &Project) -> Self {
        let args = ["dev", "--watch", "--port", "0", "--http", "127.0.0.1:0"];
        let mut command = project.in_folder(project.millstream.command(args));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut watching = Watching { child, stdout, stderr, nats: String::new() };
        let ready = watching.says("ready: ");
        let url = ready.split("nats://").nth(1).and_then(|rest| rest.split(',').next());
        watching.nats = format!("nats://{}", url.expect("an address"));
        watching
    }

    /// Reads on until it says something with these words; the line.
    fn says(&mut self, words: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("UTF-8");
            assert!(read > 0, "it ended before it said `{words}`:\n{said}");
            if line.contains(words) {
                return line;
            }
            said.push_str(&line);
        }
    }

    /// The next line of what comes out.
    fn puts_out(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("UTF-8");
        line
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // SIGINT, so that its server ends as well; gone already is as good.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let mut rest = Vec::new();
        let _ = self.stderr.read_to_end(&mut rest);
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_is_built_and_takes_over_with_its_state() {
    let project = Project::from("keyed");
    let mut watching = Watching::start(&project);
    let nats = watching.nats.clone();
    let publish = |id: &str, amount: &str| {
        project
            .write("one.ndjson", &format!(r#"{{"id":"{id}","account":"a","amount":"{amount}"}}"#));
        let args = ["publish", "payments.web", "--input", "one.ndjson", "--server", &nats];
        project.call(&args).ok();
    };
    publish("p1", "19.90");
    assert!(watching.puts_out().contains(r#""payments":1,"total":19.90"#));

    let code = project.read("src/lib.rs");
    let counts_by_ten = code.replace("spent.payments += 1;", "spent.payments += 10;");
    assert_ne!(code, counts_by_ten);
    project.write("src/lib.rs", &counts_by_ten);
    watching.says("pipeline keyed runs");
    publish("p2", "0.10");
    assert!(watching.puts_out().contains(r#""payments":11,"total":20.00"#));

    // A mistake is told, and what runs goes on.
    project.write("src/lib.rs", &counts_by_ten.replace("spent.total = total;", "spent.total = ;"));
    watching.says("MS1520");
    publish("p3", "1.00");
    assert!(watching.puts_out().contains(r#""payments":21,"total":21.00"#));

    // So does one in the manifest.
    let manifest = project.read("pipeline.yaml");
    project.write("src/lib.rs", &code);
    watching.says("pipeline keyed runs");
    project.write("pipeline.yaml", &manifest.replace("on-error: dead-letter", "on-error: later"));
    watching.says("MS1009");
    project.write("pipeline.yaml", &manifest.replace("limit_cents: 10000", "limit_cents: 2200"));
    watching.says("pipeline keyed runs");
}
