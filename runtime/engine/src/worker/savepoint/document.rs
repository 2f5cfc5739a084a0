//! The document that makes a savepoint one: what it is of, and every file with its length and hash.

use millstream_state::CheckpointManifest;
use serde::{Deserialize, Serialize};

use crate::status::{SavedStage as StageInfo, SavepointInfo};
use crate::worker::sealed::{seal, unseal};

/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// A savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Savepoint {
    /// Version of this document.
    pub version: u32,
    /// Its name, of its own in the account.
    pub name: String,
    /// The pipeline.
    pub pipeline: String,
    /// Which life of it, 32 hexadecimal digits.
    pub incarnation: String,
    /// When it was taken, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// URL of the store of its files; none: the worker's own.
    pub store: Option<String>,
    /// Its stages, in the pipeline's order.
    pub stages: Vec<SavedStage>,
}

/// A stage of a savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStage {
    /// Its name.
    pub name: String,
    /// What its inputs are called, in their order.
    pub inputs: Vec<String>,
    /// Its partitions, in their order.
    pub partitions: Vec<SavedPartition>,
}

/// A partition of a savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPartition {
    /// Where it stood, as a record of the log: positions, watermark, processing time, module. Hexadecimal.
    pub standing: String,
    /// Manifest of the files of its state.
    pub manifest: String,
}

impl Savepoint {
    /// As it is stored.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        seal(self)
    }

    /// Reads and checks what was stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let document = unseal(bytes)?.ok_or("it is no savepoint")?;
        let Version { version } = serde_json::from_str(&document).map_err(text)?;
        if version != VERSION {
            return Err(format!("it has version {version}, this program reads version {VERSION}"));
        }
        serde_json::from_str(&document).map_err(text)
    }

    /// In short.
    pub fn info(&self) -> Result<SavepointInfo, String> {
        let mut size = 0;
        for partition in self.stages.iter().flat_map(|stage| &stage.partitions) {
            size += partition.manifest()?.files.iter().map(|file| file.length).sum::<u64>();
        }
        let stage = |stage: &SavedStage| StageInfo {
            name: stage.name.clone(),
            partitions: stage.partitions.len() as u16,
        };
        Ok(SavepointInfo {
            name: self.name.clone(),
            pipeline: self.pipeline.clone(),
            at_ms: self.at_ms,
            size,
            store: self.store.clone(),
            stages: self.stages.iter().map(stage).collect(),
        })
    }
}

impl SavedPartition {
    /// The manifest of its files.
    pub fn manifest(&self) -> Result<CheckpointManifest, String> {
        CheckpointManifest::decode(self.manifest.as_bytes()).map_err(text)
    }

    /// Puts a record into the document.
    pub fn standing_text(record: &[u8]) -> String {
        record.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The record that says where it stood.
    pub fn standing(&self) -> Result<Vec<u8>, String> {
        let digits = self.standing.as_bytes();
        let byte = |pair: &[u8]| {
            let pair = str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2)
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        bytes.ok_or_else(|| "a partition's record is not hexadecimal".to_owned())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn savepoint() -> Savepoint {
        let standing = SavedPartition::standing_text(&[0, 255, 16]);
        let partition = SavedPartition { standing, manifest: String::new() };
        let stage = SavedStage {
            name: "fraud".into(),
            inputs: vec!["transactions".into()],
            partitions: vec![partition],
        };
        Savepoint {
            version: VERSION,
            name: "before-release".into(),
            pipeline: "cards".into(),
            incarnation: "0".repeat(32),
            at_ms: 5,
            store: None,
            stages: vec![stage],
        }
    }

    #[test]
    fn a_document_comes_back_and_damage_is_seen() {
        let bytes = savepoint().encode().unwrap();
        let found = Savepoint::decode(&bytes).unwrap();
        assert_eq!(found, savepoint());
        assert_eq!(found.stages[0].partitions[0].standing().unwrap(), [0, 255, 16]);
        let changed = String::from_utf8(bytes).unwrap().replace("cards", "carts");
        assert!(Savepoint::decode(changed.as_bytes()).unwrap_err().contains("it has hash"));
        let newer = Savepoint { version: 2, ..savepoint() }.encode().unwrap();
        let refused = Savepoint::decode(&newer).unwrap_err();
        assert_eq!(refused, "it has version 2, this program reads version 1");
    }
}
