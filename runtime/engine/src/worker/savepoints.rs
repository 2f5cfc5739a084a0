//! What a worker does with savepoints, and with stored checkpoints that nobody restores.

use std::path::PathBuf;

use millstream_core::seal::Seal;
use millstream_log::Name;
use millstream_log::commit_log::{JetStreamLog, LogOptions};

use super::savepoint::{self, Savepoint};
use super::{Life, Worker, checkpoint};
use crate::spec::PipelineSpec;
use crate::status::{CheckpointVerified, SavepointInfo};

/// Folder, below the worker's, of files that are being verified.
const VERIFYING: &str = "verifying";

impl Worker {
    /// Takes a savepoint of a pipeline, all of which must run here. It rests meanwhile only until its state is linked; with
    /// `stay` until [`Worker::go_on`], or until it is stopped.
    pub async fn savepoint(
        &self,
        pipeline: &str,
        name: &str,
        stay: bool,
    ) -> Result<SavepointInfo, String> {
        Name::new(name).map_err(|error| error.to_string())?;
        if savepoint::read(&*self.context.blobs, name).await?.is_some() {
            return Err(format!("there is a savepoint `{name}` already"));
        }
        let place = self.place(pipeline);
        let _changing = place.changing.lock().await;
        let running = place.running().ok_or("not running")?;
        let blobs = self.context.checkpoints_of(running.spec().checkpoint_store.as_deref())?;
        let taken = running.savepoint(&*blobs, name, stay).await?;
        if taken.store.is_some()
            && let Err(error) = savepoint::write(&*self.context.blobs, &taken).await
        {
            running.go_on();
            return Err(error);
        }
        tracing::info!(%pipeline, savepoint = %name, "savepoint taken");
        taken.info()
    }

    /// Ends the rest of a pipeline behind a savepoint.
    pub fn go_on(&self, pipeline: &str) {
        if let Some(running) = self.pipeline(pipeline) {
            running.go_on();
        }
    }

    /// All savepoints, by name.
    pub async fn savepoints(&self) -> Result<Vec<SavepointInfo>, String> {
        let mut infos = Vec::new();
        for name in savepoint::list(&*self.context.blobs).await? {
            infos.extend(self.saved(&name).await?.map(|saved| saved.info()).transpose()?);
        }
        Ok(infos)
    }

    /// The savepoint of this name; none if there is none.
    pub async fn savepoint_info(&self, name: &str) -> Result<Option<SavepointInfo>, String> {
        self.saved(name).await?.map(|saved| saved.info()).transpose()
    }

    async fn saved(&self, name: &str) -> Result<Option<Savepoint>, String> {
        Name::new(name).map_err(|error| error.to_string())?;
        savepoint::read(&*self.context.blobs, name).await
    }

    /// Removes a savepoint. `false`: there was none.
    pub async fn forget_savepoint(&self, name: &str) -> Result<bool, String> {
        let Some(saved) = self.saved(name).await? else { return Ok(false) };
        if saved.store.is_some() {
            let files = self.context.checkpoints_of(saved.store.as_deref())?;
            savepoint::remove(&*files, name).await?;
        }
        savepoint::remove(&*self.context.blobs, name).await?;
        Ok(true)
    }

    /// Makes the beginning of a life of a pipeline that goes on from a savepoint: `spec` with its own log and incarnation, and
    /// any number of partitions. It may be applied then.
    pub async fn restore(&self, name: &str, spec: &PipelineSpec) -> Result<(), String> {
        let saved = self.saved(name).await?;
        let saved = saved.ok_or_else(|| format!("there is no savepoint `{name}`"))?;
        savepoint::seed(&self.context, &saved, spec).await?;
        tracing::info!(pipeline = %spec.name, savepoint = %name, "savepoint restored");
        Ok(())
    }

    /// Seals the log of one life of a pipeline behind a savepoint of it, for another life that is to replace its record of this
    /// revision. Fails if a partition has gone on meanwhile; some may be sealed then, and go on by a later revision.
    pub async fn seal(&self, name: &str, life: &Life, seal: &Seal) -> Result<(), String> {
        let saved = self.saved(name).await?;
        let saved = saved.ok_or_else(|| format!("there is no savepoint `{name}`"))?;
        let log_name = life.log.as_deref().unwrap_or(&saved.pipeline);
        let log_name = Name::new(log_name).map_err(|error| error.to_string())?;
        let options = LogOptions { replicas: self.context.replicas, bytes_max: None };
        let log = JetStreamLog::open_existing(&self.context.accounts.engine, &log_name, &options);
        let log = log.await.map_err(|error| error.to_string())?;
        savepoint::seal(&log, &log_name, &saved, life.incarnation, seal).await
    }

    /// Removes what [`Worker::restore`] has made of a life that nobody has run.
    pub async fn unrestore(&self, spec: &PipelineSpec) {
        savepoint::discard(&self.context, spec).await;
    }

    /// Reads stored checkpoints of a pipeline's partitions that are here back, every file of each.
    pub async fn verify_checkpoints(
        &self,
        pipeline: &str,
        stage: Option<&str>,
        partition: Option<u16>,
    ) -> Result<Vec<CheckpointVerified>, String> {
        let running = self.pipeline(pipeline).ok_or("not running")?;
        running.verify(stage, partition, &self.verifying()).await
    }

    /// Reads all stored checkpoints of one life of a pipeline back, which need not run anywhere.
    pub async fn verify_stored_checkpoints(
        &self,
        pipeline: &str,
        life: &Life,
        stage: Option<&str>,
        partition: Option<u16>,
    ) -> Result<Vec<CheckpointVerified>, String> {
        let blobs = self.context.checkpoints_of(life.checkpoint_store.as_deref())?;
        let temporary = self.verifying();
        let mut verified = Vec::new();
        for store in checkpoint::all_of(&blobs, pipeline, life.incarnation).await? {
            if store.is_of(stage, partition) {
                verified.extend(store.verify(&temporary).await?);
            }
        }
        Ok(verified)
    }

    /// A folder for files that are verified.
    fn verifying(&self) -> PathBuf {
        self.context.data.join(VERIFYING).join(format!("{:032x}", self.context.random()))
    }
}
