//! How a command fails: what is wrong, where, why, and what to do about it. `main` prints it and exits with its code.

use std::fmt;
use std::io;
use std::path::Path;

use millstream_control::errors::{self, Code};
use millstream_control::problem::{Location, Problem, Problems};

use crate::exit::Exit;
use crate::output::style::{Paint, Style};

/// A failed command: at least one report.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub exit: Exit,
    /// What is wrong, most important first.
    pub reports: Vec<Report>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Report {
    /// The page that `millstream explain` shows.
    pub code: Code,
    /// One fact, with the value and the limit.
    pub message: String,
    /// Where: `pipeline.yaml:12:5`, a field, a subject.
    pub place: Option<String>,
    /// The lines of the place, as they are.
    pub excerpt: Option<String>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Failure {
    /// A failure with one report: a code of the catalogue, from which the exit code follows, and a message.
    pub fn coded(code: Code, message: impl Into<String>) -> Self {
        let report = Report {
            code,
            message: message.into(),
            place: None,
            excerpt: None,
            causes: Vec::new(),
            help: None,
        };
        Failure { exit: exit_of(code), reports: vec![report] }
    }

    /// A file or folder that could not be used. `doing` fits "cannot {doing} PATH".
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let mut failure =
            Failure::coded(errors::FILE, format!("cannot {doing} {}", path.display()));
        if error.kind() == io::ErrorKind::NotFound {
            failure.exit = Exit::NotFound;
        }
        failure.because(error)
    }

    /// What the control library or the runtime refused. `text` is the manifest the places refer to.
    pub fn problems(problems: Problems, text: Option<&str>) -> Self {
        let exit = problems.0.first().map_or(Exit::Failure, |problem| exit_of(problem.code));
        let reports = problems.0.into_iter().map(|problem| Report::of(problem, text)).collect();
        Failure { exit, reports }
    }

    /// Says where.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.reports[0].place = Some(place.into());
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.reports[0].help = Some(help.into());
        self
    }

    /// Adds an error and the chain of its sources as causes. A source whose text is already part of the
    /// one before it is left out.
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = &mut self.reports[0].causes;
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let said = causes.last().is_some_and(|last| last.contains(&text));
            if !said && !text.is_empty() {
                causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// The text for a person, with colours if `paint` has them.
    pub fn render(&self, paint: Paint) -> String {
        let reports: Vec<_> = self.reports.iter().map(|report| report.render(paint)).collect();
        let mut text = reports.join("\n\n");
        if reports.len() > 1 {
            text.push_str(&format!("\n\n{} problems", reports.len()));
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Paint::plain()))
    }
}

impl Report {
    fn of(problem: Problem, text: Option<&str>) -> Self {
        let Problem { code, message, help, location } = problem;
        let excerpt =
            location.as_ref().zip(text).and_then(|(location, text)| quote(location, text));
        let place = location.map(|location| match location.field.is_empty() {
            true => location.to_string(),
            false => format!("{location} ({})", location.field),
        });
        // The page's general advice is better than none.
        let help = help.or_else(|| errors::entry(code).map(|entry| entry.fix.to_owned()));
        Report { code, message, place, excerpt, causes: Vec::new(), help }
    }

    fn render(&self, paint: Paint) -> String {
        let label = format!("error[{}]", self.code);
        let mut text = format!("{}: {}", paint.apply(Style::Error, &label), self.message);
        let mut line = |label: &str, value: &str| {
            // Further lines of a value stand under its first.
            let indent = format!("\n{}", " ".repeat(label.len() + 3));
            let value = value.trim_end().replace('\n', &indent);
            text.push_str(&format!("\n  {} {value}", paint.apply(Style::Label, label)));
        };
        if let Some(place) = &self.place {
            line("at:", place);
        }
        if let Some(excerpt) = &self.excerpt {
            line("", excerpt);
        }
        for cause in &self.causes {
            line("because:", cause);
        }
        if let Some(help) = &self.help {
            line("help:", help);
        }
        line("more:", &format!("millstream explain {}", self.code));
        text
    }
}

/// The line of a location with a mark under its column.
fn quote(location: &Location, text: &str) -> Option<String> {
    let line = text.lines().nth(usize::try_from(location.line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(location.column).ok()?.max(1);
    let number = location.line.to_string();
    let margin = " ".repeat(number.len());
    // The mark must stand under its character whatever the terminal makes of a tab.
    let line = line.replace('\t', " ");
    Some(format!("{number} | {line}\n{margin} | {}^", " ".repeat(column - 1)))
}

/// The exit code that a code of the catalogue leads to.
fn exit_of(code: Code) -> Exit {
    match code {
        errors::MODULE_UNKNOWN
        | errors::PIPELINE_UNKNOWN
        | errors::STAGE_UNKNOWN
        | errors::PARTITION_UNKNOWN
        | errors::SINK_UNKNOWN
        | errors::SAVEPOINT_UNKNOWN
        | errors::DEAD_LETTER_UNKNOWN
        | errors::NODE_UNKNOWN
        | errors::USER_UNKNOWN
        | errors::CHANGE_UNKNOWN
        | errors::OPERATION_UNKNOWN
        | errors::NO_ENTRIES
        | errors::CONTEXT_UNKNOWN
        | errors::NO_STREAM
        | errors::CODE_UNKNOWN
        | errors::NO_SDK
        | errors::NO_TOOLCHAIN
        | errors::NO_CASE => Exit::NotFound,
        errors::NO_NODE | errors::NO_NATS => Exit::Unreachable,
        errors::NO_ANSWER | errors::NOT_IN_TIME => Exit::TimedOut,
        errors::USAGE => Exit::Usage,
        errors::NOT_PERMITTED
        | errors::UNSIGNED
        | errors::NOT_ALLOWED
        | errors::SIGNATURE_INVALID
        | errors::SIGNATURE_STALE
        | errors::REPLAYED
        | errors::SIGNED_FOR_ANOTHER
        | errors::CLUSTER_UNEXPECTED => Exit::NotPermitted,
        errors::GRANT_INVALID | errors::SEED_UNUSABLE => Exit::Invalid,
        errors::NO_OPERATOR_LEFT
        | errors::GRANTS_CHANGED
        | errors::NO_APPROVER
        | errors::OWN_CHANGE
        | errors::CHANGE_STALE => Exit::Refused,
        errors::MODULE_TOO_LARGE
        | errors::SETTINGS
        | errors::NOT_LOCAL
        | errors::NOT_BUILT
        | errors::CASE_FILES => Exit::Invalid,
        errors::CASES_FAILED => Exit::Differs,
        errors::FOLDER_IN_USE
        | errors::SERVER_TOO_OLD
        | errors::ADDRESS
        | errors::FOLDER_EXISTS
        | errors::NOT_CONFIRMED
        | errors::SAVEPOINT_NOT_RESTORED
        | errors::PARTITIONS_NOT_CHANGED
        | errors::PIPELINE_EXISTS
        | errors::PIPELINE_SPREAD => Exit::Refused,
        Code(1000..1200) => Exit::Invalid,
        Code(1200..1314) => Exit::Refused,
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let cause = io::Error::other("connection refused");
        let failure = Failure::coded(errors::NO_NATS, "no NATS server at 127.0.0.1:4222")
            .because(&cause)
            .help("start one:\n  millstream dev");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(
            failure.to_string(),
            "error[MS1403]: no NATS server at 127.0.0.1:4222\n  \
             because: connection refused\n  \
             help: start one:\n          millstream dev\n  \
             more: millstream explain MS1403"
        );
    }

    #[test]
    fn a_problem_of_a_manifest_shows_its_line() {
        let location = Location {
            file: "p.yaml".into(),
            line: 2,
            column: 6,
            field: "stages.fraud.on-error".into(),
        };
        let problem =
            Problem::new(Code(1003), "`later` is neither").help("dead-letter or stop").at(location);
        let failure = Failure::problems(problem.into(), Some("name: x\non-e: later\n"));
        assert_eq!(failure.exit, Exit::Invalid);
        assert_eq!(
            failure.to_string(),
            "error[MS1003]: `later` is neither\n  \
             at: p.yaml:2:6 (stages.fraud.on-error)\n   \
             2 | on-e: later\n     \
             |      ^\n  \
             help: dead-letter or stop\n  \
             more: millstream explain MS1003"
        );
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        let failure = Failure::file("read", Path::new("p.yaml"), &error);
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.reports[0].message, "cannot read p.yaml");
    }
}
