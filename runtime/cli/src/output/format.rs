//! The `-o` formats and the printer that commands write their data with.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use millstream_control::errors;
use serde::Serialize;

use super::style::Paint;
use super::table::{self, Cell, Listed};
use crate::exit::Exit;
use crate::failure::Failure;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// Columns for people, all of them
    Wide,
    /// One JSON document
    Json,
    /// One JSON document per line
    Jsonl,
    /// YAML
    Yaml,
    /// Names only, one per line
    Name,
}

/// Writes data to stdout.
pub struct Output {
    format: Format,
    paint: Paint,
    width: Option<u16>,
}

impl Output {
    /// For this process's stdout.
    pub fn new(format: Format) -> Self {
        let width = match io::stdout().is_terminal() {
            true => comfy_table::Table::new().width(),
            false => None,
        };
        Output { format, paint: Paint::stdout(), width }
    }

    /// The format asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether people read the data, and not programs.
    pub fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints a list. An empty table says so on stderr, in the words of `nothing`.
    pub fn list<T: Listed>(&self, items: &[T], nothing: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide if items.is_empty() => {
                say(nothing);
                Ok(())
            }
            Format::Table | Format::Wide => {
                let wide = self.format == Format::Wide;
                self.line(&table::draw(items, wide, self.width, self.paint.has_colours()))
            }
            Format::Json | Format::Yaml => self.document(&items),
            Format::Jsonl => items.iter().try_for_each(|item| self.document(item)),
            Format::Name => items.iter().try_for_each(|item| self.line(&item.name())),
        }
    }

    /// Prints one thing: pairs of label and value for people, else its serde form.
    pub fn one<T: Serialize>(
        &self,
        item: &T,
        name: &str,
        pairs: impl FnOnce() -> Vec<(String, Cell)>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                let pairs = pairs();
                self.line(&table::draw_pairs(&pairs, self.width, self.paint.has_colours()))
            }
            Format::Name => self.line(name),
            Format::Json | Format::Jsonl | Format::Yaml => self.document(item),
        }
    }

    /// Prints the next item of a stream that may never end: a line of `text` for people, else a document.
    pub fn event<T: Serialize>(
        &self,
        item: &T,
        name: &str,
        text: impl FnOnce(Paint) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.line(&text(self.paint)),
            Format::Name => self.line(name),
            // A pretty document per event would not be a stream of lines; JSON readers take both.
            Format::Json | Format::Jsonl => self.line(&json(item, false)?),
            Format::Yaml => self.line(&format!("---\n{}", yaml(item)?)),
        }
    }

    /// Prints lines as they are, whatever the format.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        write_all(format!("{text}\n").as_bytes())
    }

    /// Prints a document that has no form for people: as `other` where `-o` names no machine format.
    pub fn document_as<T: Serialize>(&self, item: &T, other: Format) -> Result<(), Failure> {
        let format = if self.is_for_people() { other } else { self.format };
        Output { format, ..*self }.document(item)
    }

    fn document<T: Serialize>(&self, item: &T) -> Result<(), Failure> {
        match self.format {
            Format::Yaml => self.line(&yaml(item)?),
            Format::Jsonl => self.line(&json(item, false)?),
            _ => self.line(&json(item, true)?),
        }
    }
}

/// Writes bytes to stdout as they are.
pub fn write_all(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| closed(&error))
}

/// Says something to the person: on stderr.
pub fn say(text: &str) {
    // Nobody to talk to is no reason to fail.
    let _ = writeln!(io::stderr(), "{text}");
}

fn json<T: Serialize>(item: &T, pretty: bool) -> Result<String, Failure> {
    let text = match pretty {
        true => serde_json::to_string_pretty(item),
        false => serde_json::to_string(item),
    };
    text.map_err(|error| {
        Failure::coded(errors::OUTPUT, "the answer cannot be written as JSON").because(&error)
    })
}

fn yaml<T: Serialize>(item: &T) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(item).map_err(|error| {
        Failure::coded(errors::OUTPUT, "the answer cannot be written as YAML").because(&error)
    })?;
    Ok(text.trim_end().to_owned())
}

/// A reader that went away (`| head`) is the end, not a failure of ours: the process ends as a Unix tool does.
fn closed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(Exit::Ok.number().into());
    }
    Failure::coded(errors::OUTPUT, "cannot write to stdout").because(error)
}
