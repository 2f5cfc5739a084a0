//! `millstream tail`: what a pipeline writes, as it writes it.

use std::collections::BTreeMap;

use clap::Args;
use futures::StreamExt;
use futures::stream::select_all;
use millstream_control::api::pipelines::Describe;
use millstream_control::errors;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sinks;

/// Show what a pipeline writes to its sinks, as it writes it; ends with ctrl-c
#[derive(Args)]
pub struct Tail {
    /// The pipeline
    name: String,

    /// Only these sinks (names in the manifest); may be given several times
    #[arg(long, value_name = "SINK")]
    sink: Vec<String>,

    /// Begin with the oldest record that the sinks' streams still hold, not with the next one
    #[arg(long)]
    all: bool,

    /// End after so many records
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

impl Tail {
    /// Follows the sinks.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(self.follow(app))
    }

    async fn follow(self, app: &App) -> Result<Exit, Failure> {
        let remote = Remote::connect(app).await?;
        let described = remote.call(&Describe { pipeline: self.name.clone() }).await?;
        let manifest = crate::manifest::stored(&described)?;
        let subjects: BTreeMap<String, String> =
            manifest.sinks.into_iter().map(|(name, sink)| (name, sink.subject)).collect();

        let mut readers = Vec::new();
        for (sink, subject) in self.chosen(&subjects)? {
            readers.push(sinks::open(&remote, sink, subject, self.all).await?);
        }
        let mut records = select_all(readers);
        let mut left = self.count.unwrap_or(usize::MAX);
        while left > 0 {
            let Some((sink, message)) = records.next().await else {
                break;
            };
            sinks::print(&app.out, &sink, &message?)?;
            left -= 1;
        }
        Ok(Exit::Ok)
    }

    fn chosen<'a>(
        &'a self,
        subjects: &'a BTreeMap<String, String>,
    ) -> Result<Vec<(&'a String, &'a String)>, Failure> {
        let known = || subjects.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if subjects.is_empty() {
            return Err(Failure::coded(
                errors::SINK_UNKNOWN,
                format!("pipeline {} has no sinks", self.name),
            ));
        }
        if self.sink.is_empty() {
            return Ok(subjects.iter().collect());
        }
        let find = |sink: &String| {
            subjects.get_key_value(sink).ok_or_else(|| {
                Failure::coded(
                    errors::SINK_UNKNOWN,
                    format!("pipeline {} has no sink `{sink}`", self.name),
                )
                .help(format!("its sinks are: {}", known()))
            })
        };
        self.sink.iter().map(find).collect()
    }
}
