//! Calls the binary in an environment of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The binary with a home of its own, so that no context or cache of the machine plays a part.
pub struct Millstream {
    /// Current folder and home of the calls.
    pub folder: TempDir,
}

/// What a call left.
#[derive(Debug)]
pub struct Called {
    /// Exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Millstream {
    /// In an empty folder.
    pub fn new() -> Self {
        Millstream { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("write a file");
        path
    }

    /// The command, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1")
            .env("MILLSTREAM_SDK", root().join("udf-sdk"))
            .stdin(Stdio::null());
        for name in [
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "NATS_URL",
            "NATS_CONTEXT",
            "NATS_CREDS",
            "MILLSTREAM_NKEY",
            "MILLSTREAM_CLUSTER",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Calls it.
    pub fn call<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Called {
        Called::of(self.command(args))
    }
}

/// Takes from a command's environment what cargo and CI have put into that of the tests: a user's cargo does not know of the one
/// that runs them.
pub fn as_a_user(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_cargos = name.starts_with("CARGO_") && name != "CARGO_HOME";
        if is_cargos || name == "NATS_CONTEXT" || name == "RUSTFLAGS" {
            command.env_remove(name.as_ref());
        }
    }
}

impl Called {
    /// Calls a command and waits for its end.
    pub fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let code = status.code().expect("it exits by itself");
        Called { code, stdout: text(stdout), stderr: text(stderr) }
    }

    /// The call again, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The call again, if it failed like this: the exit code, nothing on stdout, and all of `words` on stderr.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in:\n{}", self.stderr);
        }
        self
    }

    /// The call again, if it exited like this and wrote `words` to stdout.
    #[track_caller]
    pub fn failed_with_data(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stdout.contains(words), "`{words}` is not in:\n{}", self.stdout);
        self
    }
}

/// The root of the sources: those of the run, since the build may come from another checkout.
pub fn root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../..")
}
