//! Files that are damaged while the node that they belong to is down: of the store and of the local database; and whether the
//! checkpoints in a store are whole.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use millstream_core::ids::Incarnation;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::workload::PIPELINE;

/// Folder of the documents of the pipeline's checkpoints, in a store: `LIFE/STAGE/PARTITION/COMMIT.json`.
fn lives(store: &Path) -> PathBuf {
    store.join("documents/checkpoints").join(PIPELINE)
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A table of a checkpoint.
    Table,
    /// A file that belongs to one checkpoint only.
    File,
    /// The document that makes a checkpoint one.
    Document,
    /// Each file of the local database, one of each partition.
    Database,
}

impl What {
    /// All of them.
    pub const ALL: [What; 4] = [What::Table, What::File, What::Document, What::Database];
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Table => "checkpoint's table",
            What::File => "checkpoint's file",
            What::Document => "checkpoint's document",
            What::Database => "database",
        })
    }
}

/// How it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// One bit is another.
    Flip,
    /// The end is missing.
    Cut,
}

/// Damages a file.
pub fn damage(path: &Path, how: How, random: &mut StdRng) -> Result<()> {
    let read = || format!("{}", path.display());
    let mut bytes = fs::read(path).with_context(read)?;
    if bytes.is_empty() {
        return Ok(());
    }
    let place = random.random_range(0..bytes.len());
    match how {
        How::Flip => bytes[place] ^= 1 << random.random_range(0..8),
        How::Cut => bytes.truncate(place),
    }
    // A table may have several names.
    fs::remove_file(path).with_context(read)?;
    fs::write(path, bytes).with_context(read)
}

/// A checkpoint in a store that is a folder.
pub struct Stored {
    /// Its document.
    pub document: PathBuf,
    /// Where its tables are.
    pub tables: Vec<PathBuf>,
    /// Where its own files are.
    pub files: Vec<PathBuf>,
    /// All of them with the SHA-256 that the document says.
    hashes: Vec<(PathBuf, String)>,
}

impl Stored {
    fn read(store: &Path, document: &Path) -> Result<Self> {
        let sealed: Value = serde_json::from_slice(&fs::read(document)?)?;
        let text = sealed["document"].as_str().context("a document")?;
        ensure!(sealed["sha256"].as_str() == Some(&sha256(text.as_bytes())), "it is damaged");
        let parsed: Value = serde_json::from_str(text)?;
        let place = document.strip_prefix(store.join("documents/checkpoints"))?.with_extension("");
        let own = store.join("documents/checkpoint-files").join(place);
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut stored = Self {
            document: document.to_owned(),
            tables: Vec::new(),
            files: Vec::new(),
            hashes: Vec::new(),
        };
        for (file, blob) in list(&parsed["info"]["files"]).iter().zip(list(&parsed["blobs"])) {
            let hash = file["hash"].as_str().context("a hash")?;
            let path = match blob.as_str() {
                Some(digest) => store.join("blobs").join(digest),
                None => own.join(file["name"].as_str().context("a name")?),
            };
            match blob {
                Value::Null => stored.files.push(path.clone()),
                _ => stored.tables.push(path.clone()),
            }
            stored.hashes.push((path, hash.to_owned()));
        }
        Ok(stored)
    }

    /// What is missing or other than the document says.
    pub fn complaints(&self) -> Vec<String> {
        let is_whole = |(path, hash): &&(PathBuf, String)| {
            fs::read(path).is_ok_and(|bytes| sha256(&bytes) == *hash)
        };
        let broken = self.hashes.iter().filter(|file| !is_whole(file));
        broken
            .map(|(path, _)| format!("{} lacks {}", self.document.display(), path.display()))
            .collect()
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A partition in one life of the pipeline.
#[derive(Clone, Copy)]
pub struct Partition<'a> {
    /// The life.
    pub life: Incarnation,
    /// The stage.
    pub stage: &'a str,
    /// Its number.
    pub partition: u16,
}

/// A partition's checkpoints, oldest first; those that cannot be read are left out.
pub fn checkpoints(store: &Path, of: Partition<'_>) -> Vec<Stored> {
    let life = lives(store).join(format!("{:032x}", of.life.0));
    let documents = files_below(&life.join(of.stage).join(of.partition.to_string()));
    let documents = documents.iter().filter(|path| path.extension().is_some_and(|e| e == "json"));
    documents.filter_map(|document| Stored::read(store, document).ok()).collect()
}

/// What is wrong with checkpoints of any life, though no file was damaged.
pub fn incomplete(store: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in files_below(&lives(store)) {
        let Ok(stored) = Stored::read(store, &document) else { continue };
        let found = stored.complaints();
        // One that is being forgotten loses its document first.
        if stored.document.exists() {
            complaints.extend(found);
        }
    }
    complaints
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}
