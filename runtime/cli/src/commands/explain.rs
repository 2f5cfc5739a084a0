//! `millstream explain`: the help page of a code.

use clap::Args;
use millstream_control::errors::{self, Code, Entry};

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Listed};

/// Explain the code of a message, such as MS1403; without one: list all codes
#[derive(Args)]
pub struct Explain {
    /// The code, as a message prints it
    code: Option<String>,
}

/// An entry of the catalogue as data.
#[derive(serde::Serialize)]
struct Explained {
    code: Code,
    title: &'static str,
    cause: &'static str,
    fix: &'static str,
}

impl Explain {
    /// Prints the page, or the list.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let Some(text) = self.code else {
            let entries: Vec<_> = errors::entries().into_iter().map(Explained::from).collect();
            app.out.list(&entries, "there are no codes")?;
            return Ok(Exit::Ok);
        };
        let entry = text.parse().ok().and_then(errors::entry).ok_or_else(|| {
            Failure::coded(errors::CODE_UNKNOWN, format!("there is no code `{text}`"))
                .help("`millstream explain` lists all codes")
        })?;
        let explained = Explained::from(entry);
        app.out.one(&explained, &explained.name(), || {
            vec![
                (explained.name(), Cell::text(explained.title)),
                ("cause".to_owned(), Cell::text(explained.cause)),
                ("fix".to_owned(), Cell::text(explained.fix)),
            ]
        })?;
        Ok(Exit::Ok)
    }
}

impl From<Entry> for Explained {
    fn from(entry: Entry) -> Self {
        Explained { code: entry.code, title: entry.title, cause: entry.cause, fix: entry.fix }
    }
}

impl Listed for Explained {
    const COLUMNS: &'static [&'static str] = &["CODE", "MEANING"];

    fn name(&self) -> String {
        self.code.to_string()
    }

    fn cells(&self) -> Vec<Cell> {
        vec![Cell::text(self.name()), Cell::text(self.title)]
    }
}
