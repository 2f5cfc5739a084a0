//! How savepoints lie in a checkpoint store: `savepoints/NAME/STAGE/PARTITION/FILE`, and `savepoints/NAME/savepoint.json`, which is
//! written last and makes it one. The document of every savepoint is in the worker's own store too, wherever its files are.

use std::path::Path;

use bytes::Bytes;
use millstream_core::commit::CommitRecord;
use millstream_log::blobs::Blobs;
use millstream_state::{CheckpointFiles, CheckpointManifest, ManifestFile, verify_restored};

use super::document::{SavedPartition, Savepoint};
use crate::crash::{Step, around};

/// Folder of all savepoints.
const SAVEPOINTS: &str = "savepoints/";
/// The document of one.
const DOCUMENT: &str = "/savepoint.json";

fn folder(name: &str) -> String {
    format!("{SAVEPOINTS}{name}/")
}

fn document(name: &str) -> String {
    format!("{SAVEPOINTS}{name}{DOCUMENT}")
}

/// Which partition of which savepoint.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    pub savepoint: &'a str,
    pub stage: &'a str,
    pub partition: usize,
}

impl Of<'_> {
    fn file(&self, name: &str) -> String {
        format!("{}{}/{}/{name}", folder(self.savepoint), self.stage, self.partition)
    }
}

/// Stores what a partition holds.
pub async fn put_partition(
    blobs: &dyn Blobs,
    of: Of<'_>,
    pipeline: &str,
    files: CheckpointFiles,
    (standing, module): (&Bytes, String),
    schemas: Vec<(String, u32)>,
) -> Result<SavedPartition, String> {
    for file in &files.files {
        let bytes = Bytes::from(tokio::fs::read(&file.path).await.map_err(text)?);
        let name = of.file(&file.name);
        around(Step::UploadFile, blobs.put_document(&name, bytes)).await.map_err(text)?;
    }
    let record = CommitRecord::decode(standing).map_err(text)?;
    let file = |file: &millstream_state::CheckpointFile| ManifestFile {
        name: file.name.clone(),
        length: file.length,
        blake3: file.blake3,
    };
    let manifest = CheckpointManifest {
        incarnation: record.header.pipeline,
        partition: format!("{pipeline}/{}/{}", of.stage, of.partition),
        module_digest: module,
        schema_versions: schemas,
        redo_from: files.redo_from,
        newest: files.newest,
        files: files.files.iter().map(file).collect(),
    };
    Ok(SavedPartition {
        standing: SavedPartition::standing_text(standing),
        manifest: String::from_utf8(manifest.encode()).map_err(text)?,
    })
}

/// Puts the files of a partition into the folder `target`, which is made, and checks each.
pub async fn get_partition(
    blobs: &dyn Blobs,
    of: Of<'_>,
    saved: &SavedPartition,
    target: &Path,
) -> Result<(), String> {
    let damaged = |fact: String| {
        let Of { savepoint, stage, partition } = of;
        format!("savepoint `{savepoint}`, stage `{stage}`, partition {partition}: {fact}")
    };
    let manifest = saved.manifest().map_err(damaged)?;
    tokio::fs::create_dir_all(target).await.map_err(text)?;
    for file in &manifest.files {
        let found = blobs.get_document(&of.file(&file.name)).await.map_err(text)?;
        let bytes = found.ok_or_else(|| damaged(format!("file {} is missing", file.name)))?;
        let written = tokio::fs::write(target.join(&file.name), bytes);
        around(Step::RestoreFile, written).await.map_err(text)?;
    }
    let (target, files) = (target.to_owned(), manifest.files);
    let verified = tokio::task::spawn_blocking(move || verify_restored(&target, &files)).await;
    verified.map_err(text)?.map_err(|error| damaged(error.to_string()))
}

/// Writes the document, and reads it back.
pub async fn write(blobs: &dyn Blobs, savepoint: &Savepoint) -> Result<(), String> {
    let (name, bytes) = (document(&savepoint.name), Bytes::from(savepoint.encode()?));
    let put = blobs.put_document(&name, bytes.clone());
    around(Step::UploadManifest, put).await.map_err(text)?;
    match blobs.get_document(&name).await.map_err(text)? {
        Some(found) if found == bytes => Ok(()),
        _ => Err(format!("savepoint document {name} reads back differently than it was written")),
    }
}

/// The savepoint of this name; none if there is none.
pub async fn read(blobs: &dyn Blobs, name: &str) -> Result<Option<Savepoint>, String> {
    let bytes = blobs.get_document(&document(name)).await.map_err(text)?;
    let decode = |bytes: &[u8]| {
        Savepoint::decode(bytes)
            .map_err(|error| format!("savepoint `{name}` cannot be read: {error}"))
    };
    bytes.as_deref().map(decode).transpose()
}

/// Names of all savepoints.
pub async fn list(blobs: &dyn Blobs) -> Result<Vec<String>, String> {
    let documents = blobs.list_documents(SAVEPOINTS).await.map_err(text)?;
    let name = |document: &String| {
        let name = document.strip_prefix(SAVEPOINTS)?.strip_suffix(DOCUMENT)?;
        (!name.contains('/')).then(|| name.to_owned())
    };
    Ok(documents.iter().filter_map(name).collect())
}

/// Removes all of a savepoint from a store, its document first; also what a savepoint that was never finished has left.
pub async fn remove(blobs: &dyn Blobs, name: &str) -> Result<(), String> {
    blobs.delete_document(&document(name)).await.map_err(text)?;
    for file in blobs.list_documents(&folder(name)).await.map_err(text)? {
        blobs.delete_document(&file).await.map_err(text)?;
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
