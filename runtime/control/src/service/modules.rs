//! `module.*`.

use std::collections::BTreeMap;

use super::{Answer, Service};
use crate::api::Done;
use crate::api::modules::{List, Listing, ModuleInfo, Push, Pushed, Remove, Show};
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::registry::{ModuleRecord, PipelineRecord, Reference};
use crate::worker::Worker;

impl<W: Worker> Answer<Push> for Service<W> {
    async fn answer(&self, request: Push) -> Result<Pushed, Problems> {
        let _changing = self.changes.lock().await;
        let named = !request.unnamed;
        let (record, new) = self.modules.push(&request.digest, &request.by, named).await?;
        if new {
            tracing::info!(module = %record.name, version = %record.version, digest = %record.digest, "module registered");
        }
        let named = self.modules.is_named(&record).await?;
        Ok(Pushed { module: info(record, named, &self.users().await?), new })
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Listing, Problems> {
        let users = self.users().await?;
        let records = self.modules.list().await?;
        let modules = records.into_iter().map(|(record, named)| info(record, named, &users));
        Ok(Listing { modules: modules.collect() })
    }
}

impl<W: Worker> Answer<Show> for Service<W> {
    async fn answer(&self, request: Show) -> Result<ModuleInfo, Problems> {
        let record = self.modules.find(&Reference::parse(&request.module)?).await?;
        let named = self.modules.is_named(&record).await?;
        Ok(info(record, named, &self.users().await?))
    }
}

impl<W: Worker> Answer<Remove> for Service<W> {
    async fn answer(&self, request: Remove) -> Result<Done, Problems> {
        let _changing = self.changes.lock().await;
        let record = self.modules.find(&Reference::parse(&request.module)?).await?;
        if let Some(users) = self.users().await?.get(&record.digest) {
            let message =
                format!("{}@{} runs in {}", record.name, record.version, users.join(", "));
            return Err(Problem::new(errors::MODULE_IN_USE, message)
                .help("change or delete these pipelines first")
                .into());
        }
        self.modules.remove(&record).await?;
        tracing::info!(module = %record.name, version = %record.version, digest = %record.digest, "module removed");
        Ok(Done {})
    }
}

impl<W: Worker> Service<W> {
    /// `pipeline/stage` of every stage, by the digest of the module it runs.
    async fn users(&self) -> Result<Users, Problem> {
        let mut users = Users::new();
        for recorded in self.pipelines.list().await? {
            let PipelineRecord { name, modules, .. } = recorded.record;
            for (stage, digest) in modules {
                users.entry(digest).or_default().push(format!("{name}/{stage}"));
            }
        }
        Ok(users)
    }
}

type Users = BTreeMap<String, Vec<String>>;

fn info(record: ModuleRecord, named: bool, users: &Users) -> ModuleInfo {
    ModuleInfo {
        used_by: users.get(&record.digest).cloned().unwrap_or_default(),
        name: record.name,
        version: record.version,
        digest: record.digest,
        size: record.size,
        unnamed: !named,
        pushed_at_ms: record.pushed_at_ms,
        by: record.by,
        description: record.description,
    }
}
