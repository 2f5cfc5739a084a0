//! `millstream can-i`: whether something is allowed, before it is tried.

use clap::Args;
use millstream_control::api::access::Can;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;

/// Say whether you may do something; exits with 9 if not
#[derive(Args)]
pub struct CanI {
    /// The operation, such as `pipeline.apply`
    operation: String,

    /// With this pipeline; without it, with all
    pipeline: Option<String>,
}

impl CanI {
    /// Asks.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let request = Can { operation: self.operation, pipeline: self.pipeline, ..Can::default() };
        let verdict = block_on(async { Remote::connect(app).await?.call(&request).await })?;
        let word = if verdict.allowed { "yes" } else { "no" };
        app.out.event(&verdict, word, |_| format!("{word}: {}", verdict.why))?;
        Ok(if verdict.allowed { Exit::Ok } else { Exit::NotPermitted })
    }
}
