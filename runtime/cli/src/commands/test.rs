//! `millstream test`: the real modules over golden input, compared with the expected output.

use std::path::PathBuf;

use clap::Args;
use millstream_control::errors;
use serde::Serialize;

use crate::cases::{self, Case, Comparison, Difference};
use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::style::{Paint, Style};
use crate::output::{Cell, Listed, Tone, units};
use crate::{local, manifest, project};

/// Run a project's test cases: its modules over golden input, compared with the expected output; no server is needed
///
/// A case is a folder `tests/NAME` beside the manifest. It holds the input, `input.ndjson` (with several sources one
/// `SOURCE.ndjson` each), and what is expected of it: `expected.ndjson`, the outputs of all sinks, and `dead-letters.ndjson`,
/// without which no record may be refused. Each case runs with one partition, so the order of the outputs is always the same.
#[derive(Args)]
pub struct Test {
    /// Only cases with one of these in their name
    #[arg(value_name = "CASE")]
    cases: Vec<String>,

    /// The manifest
    #[arg(short, long = "file", value_name = "FILE", default_value = "pipeline.yaml")]
    file: PathBuf,

    /// Take what comes over as what is expected
    #[arg(long)]
    update: bool,

    /// Take the module files as they are; otherwise cargo builds the package beside the manifest first, if there is one
    #[arg(long)]
    no_build: bool,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Passed,
    Failed,
    Updated,
}

/// What is told of a case.
#[derive(Serialize)]
struct Report {
    case: String,
    verdict: Verdict,
    records: u64,
    outputs: usize,
    dead_letters: usize,
    /// Lines that are not as expected; those that were, if the files were updated.
    differences: Vec<Difference>,
    /// Why the case could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Test {
    /// Runs the cases; fails when one of them does.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let loaded = manifest::load(&self.file)?;
        let cases = cases::find(&loaded.folder.join("tests"), &self.cases)?;
        if !self.no_build && project::is_package(&loaded.folder) {
            let built = project::build(&loaded.folder, project::RELEASE)?;
            project::install(&loaded, &built)?;
        }
        // One partition: the order of outputs is that of the run.
        let spec = local::spec(&loaded, Some(std::num::NonZeroU16::MIN))?;
        let mut reports = Vec::new();
        for case in &cases {
            let produced = case.run(&spec).and_then(|produced| {
                let comparisons = case.compare(&produced)?;
                let agrees = comparisons.iter().all(Comparison::agrees);
                if self.update && !agrees {
                    case.update(&produced)?;
                }
                Ok((produced, comparisons, agrees))
            });
            let report = match produced {
                Ok((produced, comparisons, agrees)) => {
                    let verdict = match (agrees, self.update) {
                        (true, _) => Verdict::Passed,
                        (false, true) => Verdict::Updated,
                        (false, false) => Verdict::Failed,
                    };
                    if verdict == Verdict::Failed {
                        show(app, case, &comparisons)?;
                    }
                    Report {
                        case: case.name.clone(),
                        verdict,
                        records: produced.records,
                        outputs: produced.outputs.len(),
                        dead_letters: produced.dead_letters.len(),
                        differences: comparisons.iter().flat_map(Comparison::differences).collect(),
                        error: None,
                    }
                }
                Err(failure) => {
                    if app.out.is_for_people() {
                        app.out.line(&format!(
                            "{}\n{}\n",
                            heading(case, Paint::stdout()),
                            failure.render(Paint::stdout())
                        ))?;
                    }
                    Report::not_run(case, &failure)
                }
            };
            reports.push(report);
        }
        app.out.list(&reports, "there are no cases")?;
        let failed: Vec<_> = reports
            .iter()
            .filter(|report| report.verdict == Verdict::Failed)
            .map(|report| report.case.as_str())
            .collect();
        if failed.is_empty() {
            say(&format!("{} passed", of_cases(reports.len())));
            return Ok(Exit::Ok);
        }
        Err(Failure::coded(
            errors::CASES_FAILED,
            format!(
                "{} of {} failed: {}",
                failed.len(),
                of_cases(reports.len()),
                failed.join(", ")
            ),
        )
        .help("if what came is right, `millstream test --update` takes it over"))
    }
}

/// Prints how a failed case differs.
fn show(app: &App, case: &Case, comparisons: &[Comparison]) -> Result<(), Failure> {
    if !app.out.is_for_people() {
        return Ok(());
    }
    let paint = Paint::stdout();
    let files = comparisons.iter().map(|comparison| cases::show(comparison, paint));
    let texts: Vec<_> = files.filter(|text| !text.is_empty()).collect();
    app.out.line(&format!("{}\n{}\n", heading(case, paint), texts.join("\n")))
}

fn heading(case: &Case, paint: Paint) -> String {
    format!("{} {}", paint.apply(Style::Error, "failed:"), case.name)
}

fn of_cases(count: usize) -> String {
    match count {
        1 => "1 case".to_owned(),
        _ => format!("{count} cases"),
    }
}

impl Report {
    fn not_run(case: &Case, failure: &Failure) -> Self {
        Report {
            case: case.name.clone(),
            verdict: Verdict::Failed,
            records: 0,
            outputs: 0,
            dead_letters: 0,
            differences: Vec::new(),
            error: Some(failure.to_string()),
        }
    }
}

impl Listed for Report {
    const COLUMNS: &'static [&'static str] =
        &["CASE", "RESULT", "RECORDS", "OUTPUTS", "DEAD LETTERS", "DIFFERENCES"];

    fn name(&self) -> String {
        self.case.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        let (word, tone) = match self.verdict {
            Verdict::Passed => ("passed", Tone::Good),
            Verdict::Failed => ("failed", Tone::Bad),
            Verdict::Updated => ("updated", Tone::Warn),
        };
        let number = |count: usize| Cell::number(units::count(count as u64));
        vec![
            Cell::text(&self.case),
            Cell::toned(word, tone),
            Cell::number(units::count(self.records)),
            number(self.outputs),
            number(self.dead_letters),
            number(self.differences.len()),
        ]
    }
}
