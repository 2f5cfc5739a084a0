//! `millstream change`: changes that wait for consent.

use clap::{Args, Subcommand};
use millstream_control::api::changes::{Approve, List, Proposed, ProposedRequest, Reject, Show};

use super::apply::{line, print};
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::{Cell, Listed, units};

/// List, show, approve and reject changes that wait for consent
#[derive(Args)]
pub struct Change {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the changes that wait for consent
    Ls,
    /// Show a change: what differs, and the whole manifest
    Show {
        /// Its number, or how it begins
        id: String,
    },
    /// Consent to a change of somebody else; it is made then
    Approve {
        /// Its number, or how it begins
        id: String,
    },
    /// Reject a change, or take back one of your own
    Reject {
        /// Its number, or how it begins
        id: String,
    },
}

impl Change {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            match self.what {
                What::Ls => {
                    let listing = remote.call(&List {}).await?;
                    app.out.list(&listing.changes, "no change waits for consent")?;
                }
                What::Show { id } => show(app, &remote.call(&Show { id }).await?)?,
                What::Approve { id } => {
                    let Proposed { id, pipeline, .. } = remote.call(&Show { id }).await?;
                    let approve = Approve { id, pipeline, ..Approve::default() };
                    print(app, &remote.call(&approve).await?, false)?;
                }
                What::Reject { id } => {
                    let Proposed { id, pipeline, .. } = remote.call(&Show { id }).await?;
                    let reject = Reject { id: id.clone(), pipeline, ..Reject::default() };
                    remote.call(&reject).await?;
                    say(&format!("change {id}: rejected"));
                }
            }
            Ok(Exit::Ok)
        })
    }
}

fn show(app: &App, change: &Proposed) -> Result<(), Failure> {
    if !app.out.is_for_people() {
        return app.out.event(change, &change.id, |_| String::new());
    }
    let (begins, text) = match &change.what {
        ProposedRequest::Apply(apply) => (String::new(), &apply.manifest.text),
        ProposedRequest::Restore(restore) => {
            (format!(" from the savepoint {}", restore.savepoint), &restore.manifest.text)
        }
    };
    let Proposed { id, pipeline, by, key, at_ms, revision, .. } = change;
    say(&format!("change {id} of pipeline {pipeline}{begins}, at revision {revision}"));
    say(&format!("  proposed by {by} ({key}), {}", units::time(*at_ms)));
    for (stage, digest) in &change.modules {
        say(&format!("  module of {stage}: sha256:{digest}"));
    }
    for change in &change.changes {
        say(&format!("  {}", line(change)));
    }
    say("");
    app.out.line(text.trim_end())
}

impl Listed for Proposed {
    const COLUMNS: &'static [&'static str] = &["ID", "PIPELINE", "REVISION", "CHANGES", "BY", "AT"];
    const WIDE: &'static [&'static str] = &["KEY"];

    fn name(&self) -> String {
        self.id.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        let changes = match (&self.what, self.revision) {
            (ProposedRequest::Restore(_), _) => "from a savepoint".to_owned(),
            (ProposedRequest::Apply(_), 0) => "new".to_owned(),
            _ => self.changes.len().to_string(),
        };
        vec![
            Cell::text(&self.id),
            Cell::text(&self.pipeline),
            Cell::text(self.revision.to_string()),
            Cell::text(changes),
            Cell::text(&self.by),
            Cell::text(units::time(self.at_ms)),
            Cell::text(self.key.as_str()),
        ]
    }
}
