//! Help texts, wrong command lines, completions and codes.

use crate::millstream::Millstream;

const COMMANDS: [&str; 33] = [
    "dev",
    "run",
    "new",
    "build",
    "test",
    "module",
    "validate",
    "schema",
    "apply",
    "diff",
    "get",
    "describe",
    "delete",
    "pause",
    "resume",
    "stop",
    "logs",
    "tail",
    "publish",
    "lag",
    "state",
    "dlq",
    "checkpoint",
    "savepoint",
    "rescale",
    "access",
    "whoami",
    "can-i",
    "audit",
    "info",
    "doctor",
    "explain",
    "completion",
];

#[test]
fn the_root_help_lists_commands_and_exit_codes() {
    let help = Millstream::new().call(["--help"]).ok().stdout;
    for command in COMMANDS {
        let listed = help.lines().any(|line| line.trim_start().split(' ').next() == Some(command));
        assert!(listed, "{command} is not in:\n{help}");
    }
    assert!(help.contains("Exit codes:\n  0  "), "{help}");
    assert!(help.contains("  7  not finished within --timeout"), "{help}");
}

#[test]
fn every_command_has_help_with_the_global_options() {
    let millstream = Millstream::new();
    for command in COMMANDS {
        let help = millstream.call([command, "--help"]).ok().stdout;
        for option in ["--context", "--server", "--creds", "--timeout", "--format"] {
            assert!(help.contains(option), "{command}: {option} is not in:\n{help}");
        }
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let millstream = Millstream::new();
    for wrong in [
        &["frobnicate"][..],
        &["get", "--nope"],
        &["apply"],
        &["lag", "--timeout", "soon"],
        &["get", "-o", "xml"],
        &["run", "--local"],
        &["run", "--input", "x"],
        &["dlq", "drop", "fraud"],
        &["dlq", "drop", "fraud", "1", "--all"],
        &["delete", "fraud"],
        &["state", "get", "fraud", "xyz", "--hex"],
    ] {
        let called = millstream.call(wrong);
        assert_eq!(called.code, 2, "{wrong:?}: {called:?}");
        assert_eq!(called.stdout, "", "{wrong:?}: {called:?}");
    }
}

#[test]
fn every_shell_gets_completions() {
    let millstream = Millstream::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = millstream.call(["completion", shell]).ok().stdout;
        assert!(script.contains("redrive"), "{shell}: {script}");
    }
}

#[test]
fn codes_are_explained() {
    let millstream = Millstream::new();
    let page = millstream.call(["explain", "ms1403"]).ok().stdout;
    assert!(page.contains("MS1403") && page.contains("--server"), "{page}");
    let codes = millstream.call(["explain", "-o", "name"]).ok().stdout;
    assert!(
        codes.lines().count() > 20 && codes.lines().all(|code| code.starts_with("MS")),
        "{codes}"
    );
    millstream.call(["explain", "MS9999"]).failed(4, &["MS9999", "millstream explain"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let millstream = Millstream::new();
    let mut child = millstream
        .command(["schema"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
