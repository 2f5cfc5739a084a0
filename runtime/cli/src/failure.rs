//! How a command fails: what is wrong, where, why, and what to do about it. `main` prints it and exits with its code.

use std::fmt;

use crate::exit::Exit;
use crate::output::style::{Paint, Style};

/// A failed command. `Result<(), Failure>` is what every command returns.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub exit: Exit,
    /// The page that `millstream explain` shows, such as `MS0601`.
    pub code: &'static str,
    /// What is wrong, with the value and the limit.
    pub message: String,
    /// Where: `pipeline.yaml:12:5`, a field, a subject.
    pub place: Option<String>,
    /// Lines of the place, shown as they are.
    pub excerpt: Option<String>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Failure {
    /// A failure with a message and nothing else.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Failure {
            exit,
            code,
            message: message.into(),
            place: None,
            excerpt: None,
            causes: Vec::new(),
            help: None,
        }
    }

    /// Says where.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Shows the lines of the place.
    pub fn excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.excerpt = Some(excerpt.into());
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds an error and the chain of its sources as causes. A source whose text is already part of the
    /// one before it is left out.
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let said = self.causes.last().is_some_and(|last| last.contains(&text));
            if !said && !text.is_empty() {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// A file or folder that could not be used. `doing` fits "cannot {doing}".
    pub fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let (exit, code) = match missing {
            true => (Exit::NotFound, "MS0401"),
            false => (Exit::Failure, "MS0101"),
        };
        Failure::new(exit, code, format!("cannot {doing} {}", path.display())).because(error)
    }

    /// The text for a person, with colours if `paint` has them.
    pub fn render(&self, paint: Paint) -> String {
        let mut text = paint.apply(Style::Error, &format!("error[{}]", self.code));
        text.push_str(": ");
        text.push_str(&self.message);
        let mut line = |label: &str, value: &str| {
            text.push_str(&format!("\n  {} ", paint.apply(Style::Label, label)));
            // Further lines of a value stand under its first.
            let indent = format!("\n{}", " ".repeat(label.chars().count() + 3));
            text.push_str(&value.trim_end().replace('\n', &indent));
        };
        if let Some(place) = &self.place {
            line("at:", place);
        }
        if let Some(excerpt) = &self.excerpt {
            line("|", excerpt);
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Paint::plain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_where_why_and_what_to_do() {
        let cause = std::io::Error::other("connection refused");
        let failure = Failure::new(Exit::Unreachable, "MS0601", "no NATS server at 127.0.0.1:4222")
            .at("--server")
            .because(&cause)
            .help("start one:\n  millstream dev");
        assert_eq!(
            failure.to_string(),
            "error[MS0601]: no NATS server at 127.0.0.1:4222\n  \
             at: --server\n  \
             because: connection refused\n  \
             help: start one:\n          millstream dev\n  \
             more: millstream explain MS0601"
        );
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        let failure = Failure::file("read", std::path::Path::new("p.yaml"), &error);
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.message, "cannot read p.yaml");
    }
}
