//! `module.*`.

use super::{Answer, Service};
use crate::api::Done;
use crate::api::modules::{List, Listing, ModuleInfo, Push, Pushed, Remove, Show};
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::registry::{ModuleRecord, Reference};
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
        Ok(Pushed { module: self.info(record, named).await?, new })
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Listing, Problems> {
        let mut modules = Vec::new();
        for (record, named) in self.modules.list().await? {
            modules.push(self.info(record, named).await?);
        }
        Ok(Listing { modules })
    }
}

impl<W: Worker> Answer<Show> for Service<W> {
    async fn answer(&self, request: Show) -> Result<ModuleInfo, Problems> {
        let record = self.modules.find(&Reference::parse(&request.module)?).await?;
        let named = self.modules.is_named(&record).await?;
        Ok(self.info(record, named).await?)
    }
}

impl<W: Worker> Answer<Remove> for Service<W> {
    async fn answer(&self, request: Remove) -> Result<Done, Problems> {
        let _changing = self.changes.lock().await;
        let record = self.modules.find(&Reference::parse(&request.module)?).await?;
        let users = self.users(&record.digest).await?;
        if !users.is_empty() {
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
    async fn info(&self, record: ModuleRecord, named: bool) -> Result<ModuleInfo, Problem> {
        Ok(ModuleInfo {
            used_by: self.users(&record.digest).await?,
            name: record.name,
            version: record.version,
            digest: record.digest,
            size: record.size,
            unnamed: !named,
            pushed_at_ms: record.pushed_at_ms,
            by: record.by,
            description: record.description,
        })
    }

    /// `pipeline/stage` of every stage that runs the module.
    async fn users(&self, digest: &str) -> Result<Vec<String>, Problem> {
        let mut users = Vec::new();
        for recorded in self.pipelines.list().await? {
            let record = recorded.record;
            for (stage, used) in &record.modules {
                if used == digest {
                    users.push(format!("{}/{stage}", record.name));
                }
            }
        }
        Ok(users)
    }
}
