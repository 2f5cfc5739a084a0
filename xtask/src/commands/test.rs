//! `cargo xtask test`: every check and every test, as continuous integration runs them.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, bail};

use super::build::{BINARY, BINARY_VARIABLE};
use super::{setup, tidy};
use crate::modules;
use crate::process::{cargo, run as run_command, say};
use crate::python::Guest;
use crate::tools::nats;
use crate::tools::runner::Runner;
use crate::workspace::Workspace;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for the test runner, for example `-E 'test(takeover)'`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// The subcommand. What later steps need must succeed; checks and tests all run, and are judged at the end.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let server = setup::ensure()?;
    let mut failed = Failed::default();
    failed.note("the checks (cargo xtask tidy)", tidy::run(workspace));

    modules::SHIPPED.build(workspace)?;
    if modules::FOR_TESTS.exists(workspace) {
        modules::FOR_TESTS.build(workspace)?;
    }
    say("build the binary and the tests");
    run_command(
        cargo()
            .args(["build", "--release", "--workspace", "--all-targets"])
            .current_dir(&workspace.root),
    )?;

    say("test the modules natively");
    failed.note("the modules' tests", run_command(&mut modules::SHIPPED.cargo(workspace, "test")));
    say("test the examples in the documentation");
    let mut documented = cargo();
    documented.args(["test", "--doc", "--release", "--workspace"]).current_dir(&workspace.root);
    failed.note("the documentation's tests", run_command(&mut documented));

    say("test everything else");
    failed.note("the tests", run_tests(workspace, &server, &args.rest));
    // Who asks for certain tests asks for no others.
    if args.rest.is_empty() {
        match Guest::new(workspace) {
            Ok(guest) => {
                failed.note("the guest in Python", test_python(workspace, &server, &guest))
            }
            Err(error) => failed.left_out("the guest in Python", &error),
        }
    }
    failed.judge()
}

/// The tests that need the component of `examples/python`: runs that do not build it ignore them.
fn test_python(workspace: &Workspace, server: &Path, guest: &Guest<'_>) -> Result<()> {
    guest.check_vectors()?;
    guest.build()?;
    let args: Vec<OsString> =
        Runner::find().ignored_of("python").into_iter().map(OsString::from).collect();
    run_tests(workspace, server, &args)
}

fn run_tests(workspace: &Workspace, server: &Path, args: &[OsString]) -> Result<()> {
    run_command(
        cargo()
            .args(Runner::find().args())
            .args(args)
            .env(nats::VARIABLE, server)
            .env(BINARY_VARIABLE, workspace.binary(BINARY))
            .current_dir(&workspace.root),
    )
}

/// The steps that failed, and those that could not be run here.
#[derive(Default)]
struct Failed {
    failed: Vec<&'static str>,
    left_out: Vec<String>,
}

impl Failed {
    /// Notes the outcome of a step, and says at once what went wrong.
    fn note(&mut self, step: &'static str, outcome: Result<()>) {
        if let Err(error) = outcome {
            say(&format!("FAILED: {step}: {error:#}"));
            self.failed.push(step);
        }
    }

    /// Notes a step that needs what this machine has not.
    fn left_out(&mut self, step: &str, why: &anyhow::Error) {
        self.left_out.push(format!("NOT RUN: {step}: {why:#}"));
    }

    /// What was left out is said last, where it is read.
    fn judge(self) -> Result<()> {
        self.left_out.iter().for_each(|what| say(what));
        if !self.failed.is_empty() {
            bail!("failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole() {
        let mut failed = Failed::default();
        failed.note("first", Ok(()));
        assert!(Failed::default().judge().is_ok());
        failed.note("second", Err(anyhow::anyhow!("broken")));
        let error = failed.judge().expect_err("a step failed");
        assert_eq!(error.to_string(), "failed: second");
    }
}
