//! `millstream explain`: the help page of a code.

use clap::Args;

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::pages;

/// Explain a code such as MS0601: what it means and what to do
#[derive(Args)]
pub struct Explain {
    /// The code, as a message prints it; without it: all codes
    code: Option<String>,
}

impl Explain {
    /// Prints the page, or the list.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let Some(code) = self.code else {
            for (code, page) in pages::PAGES {
                app.out.line(&format!("{code}  {}", pages::title(page)))?;
            }
            return Ok(Exit::Ok);
        };
        let page = pages::find(&code).ok_or_else(|| {
            Failure::new(Exit::NotFound, "MS0402", format!("there is no code `{code}`"))
                .help("`millstream explain` lists all codes")
        })?;
        app.out.line(page.trim_end())?;
        Ok(Exit::Ok)
    }
}
