//! What `dev --watch` does: builds a project and applies its pipeline again with each change of its files, and shows what
//! comes out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use millstream_control::api::pipelines::Outcome;
use millstream_control::errors;

use super::dev::start;
use crate::connection::Remote;
use crate::failure::Failure;
use crate::manifest::{self, Loaded};
use crate::output::format::say;
use crate::output::style::Paint;
use crate::output::{Output, units};
use crate::project::{self, Changes};
use crate::sinks::{self, Records};

/// A project that is watched.
pub struct Watch {
    manifest: PathBuf,
    changes: Changes,
    /// Subject of each sink that is followed, by name.
    followed: BTreeMap<String, String>,
    records: SelectAll<Records>,
}

impl Watch {
    /// Watches the folder of a manifest from now on.
    pub fn of(manifest: &Path) -> Result<Self, Failure> {
        let changes = Changes::below(&manifest::folder(manifest))?;
        Ok(Watch {
            manifest: manifest.to_owned(),
            changes,
            followed: BTreeMap::new(),
            records: SelectAll::new(),
        })
    }

    /// Builds and applies what is there now. What goes wrong is said: the next change may mend it.
    pub async fn turn(&mut self, remote: &Remote) {
        if let Err(failure) = self.try_turn(remote).await {
            say(&failure.render(Paint::stderr()));
        }
    }

    /// Takes a turn with each change, and prints what comes out, for as long as there is something to read from.
    pub async fn follow(mut self, remote: &Remote, out: &Output) -> Result<(), Failure> {
        loop {
            tokio::select! {
                changed = self.changes.next() => {
                    if !changed {
                        return Err(Failure::coded(errors::SYSTEM, "changes of files are no longer seen"));
                    }
                    self.changes.settle().await;
                    self.turn(remote).await;
                }
                Some((sink, message)) = self.records.next(), if !self.records.is_empty() => {
                    sinks::print(out, &sink, &message?)?;
                }
            }
        }
    }

    async fn try_turn(&mut self, remote: &Remote) -> Result<(), Failure> {
        let begun = Instant::now();
        let loaded = build(manifest::load(&self.manifest)?).await?;
        let built = begun.elapsed();
        let applied = start(remote, &loaded).await?;
        if applied.outcome != Outcome::Unchanged {
            say(&format!(
                "pipeline {} runs: built in {}, taken over {} later",
                applied.pipeline,
                units::duration(built),
                units::duration(begun.elapsed() - built)
            ));
        }
        self.follow_sinks(remote, &loaded).await
    }

    /// Follows the sinks of the manifest, if they are others than before.
    async fn follow_sinks(&mut self, remote: &Remote, loaded: &Loaded) -> Result<(), Failure> {
        let sinks = loaded.document.manifest.sinks.iter();
        let sinks: BTreeMap<_, _> =
            sinks.map(|(name, sink)| (name.clone(), sink.subject.clone())).collect();
        if sinks == self.followed {
            return Ok(());
        }
        let mut readers = Vec::new();
        for (name, subject) in &sinks {
            readers.push(sinks::open(remote, name, subject, false).await?);
        }
        (self.records, self.followed) = (select_all(readers), sinks);
        Ok(())
    }
}

/// The manifest with the modules of the package beside it, built as soon as can be; those that it names, if there is no package.
async fn build(loaded: Loaded) -> Result<Loaded, Failure> {
    if !project::is_package(&loaded.folder) {
        return Ok(loaded);
    }
    let folder = loaded.folder.clone();
    let built = tokio::task::spawn_blocking(move || project::build(&folder, project::WATCH));
    let built = built.await.map_err(|error| {
        Failure::coded(errors::SYSTEM, "the build ended unexpectedly").because(&error)
    })?;
    Ok(loaded.with_modules(built?))
}
