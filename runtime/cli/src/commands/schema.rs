//! `millstream schema`: the JSON Schema of manifests.

use clap::Args;
use millstream_control::manifest::json_schema;

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Format;

/// Print the JSON Schema of pipeline manifests, for editors and CI
#[derive(Args)]
pub struct Schema {}

impl Schema {
    /// Prints it: JSON, unless another machine format was asked for.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        app.out.document_as(&json_schema(), Format::Json)?;
        Ok(Exit::Ok)
    }
}
