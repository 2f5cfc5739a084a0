//! The description of a stored checkpoint: which files it has, where it stands, and what it is the state of.

use std::path::Path;

use millstream_core::ids::{CommitHash, CommitNumber, Incarnation, LogPoint, Sequence};
use serde::{Deserialize, Serialize};

use crate::checkpoint::hash_file;
use crate::error::StateError;

/// The version of the manifest that is written.
pub const MANIFEST_VERSION: u32 = 1;
/// Names of files in a checkpoint are at most this long.
const NAME_BYTES_MAX: usize = 128;

/// A stored checkpoint of one partition. Written last, read back, and only then counted as existing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointManifest {
    /// The pipeline's life it belongs to.
    pub incarnation: Incarnation,
    /// The pipeline, stage and partition, as the log names them.
    pub partition: String,
    /// SHA-256 of the module that wrote the state, in hex.
    pub module_digest: String,
    /// Schema version of each state that the module declares, by name.
    pub schema_versions: Vec<(String, u32)>,
    /// The last commit all of whose effects are in it.
    pub redo_from: LogPoint,
    /// The newest commit of which some effect is in it.
    pub newest: LogPoint,
    /// All files, by name.
    pub files: Vec<ManifestFile>,
}

/// A file of a stored checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Name to restore it under.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// BLAKE3 of its content, by which it is stored.
    pub blake3: [u8; 32],
}

/// The JSON that is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    incarnation: String,
    partition: String,
    module_digest: String,
    schema_versions: Vec<(String, u32)>,
    redo_from: StoredPoint,
    newest: StoredPoint,
    files: Vec<StoredFile>,
}

#[derive(Serialize, Deserialize)]
struct StoredPoint {
    number: u64,
    hash: String,
    sequence: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    name: String,
    length: u64,
    blake3: String,
}

/// Read first, since all else may differ in another version.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl CheckpointManifest {
    /// As JSON.
    pub fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            version: MANIFEST_VERSION,
            incarnation: format!("{:032x}", self.incarnation.0),
            partition: self.partition.clone(),
            module_digest: self.module_digest.clone(),
            schema_versions: self.schema_versions.clone(),
            redo_from: StoredPoint::from(&self.redo_from),
            newest: StoredPoint::from(&self.newest),
            files: self
                .files
                .iter()
                .map(|file| StoredFile {
                    name: file.name.clone(),
                    length: file.length,
                    blake3: hex(&file.blake3),
                })
                .collect(),
        };
        serde_json::to_vec_pretty(&stored).expect("a manifest is plain data")
    }

    /// Reads and checks what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let invalid =
            |error: serde_json::Error| refuse(format!("it is not what was stored: {error}"));
        let Version { version } = serde_json::from_slice(bytes).map_err(invalid)?;
        if version != MANIFEST_VERSION {
            return Err(refuse(format!(
                "it has version {version}, this program reads version {MANIFEST_VERSION}"
            )));
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(invalid)?;
        let incarnation = u128::from_str_radix(&stored.incarnation, 16).map_err(|_| {
            refuse(format!("its incarnation is `{}`, expected 32 hex digits", stored.incarnation))
        })?;
        let files =
            stored.files.into_iter().map(StoredFile::check).collect::<Result<Vec<_>, _>>()?;
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(refuse(format!(
                "file `{}` follows `{}`, expected ascending names",
                pair[1].name, pair[0].name
            )));
        }
        Ok(Self {
            incarnation: Incarnation(incarnation),
            partition: stored.partition,
            module_digest: stored.module_digest,
            schema_versions: stored.schema_versions,
            redo_from: stored.redo_from.check()?,
            newest: stored.newest.check()?,
            files,
        })
    }
}

impl StoredFile {
    fn check(self) -> Result<ManifestFile, StateError> {
        // Names become paths: nothing but a plain file name may pass.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if self.name.is_empty()
            || self.name.len() > NAME_BYTES_MAX
            || self.name.starts_with('.')
            || !self.name.bytes().all(plain)
        {
            return Err(refuse(format!(
                "`{}` is no file name of a checkpoint",
                self.name.escape_debug()
            )));
        }
        let blake3 = unhex(&self.blake3)?;
        Ok(ManifestFile { name: self.name, length: self.length, blake3 })
    }
}

impl StoredPoint {
    fn from(point: &LogPoint) -> Self {
        Self { number: point.number.0, hash: hex(&point.hash.0), sequence: point.sequence.0 }
    }

    fn check(self) -> Result<LogPoint, StateError> {
        Ok(LogPoint {
            number: CommitNumber(self.number),
            hash: CommitHash(unhex(&self.hash)?),
            sequence: Sequence(self.sequence),
        })
    }
}

fn refuse(fact: String) -> StateError {
    StateError::Manifest { fact }
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

fn unhex(text: &str) -> Result<[u8; 32], StateError> {
    blake3::Hash::from_hex(text).map(|hash| *hash.as_bytes()).map_err(|_| {
        refuse(format!("`{}` is no hash, expected 64 hex digits", text.escape_debug()))
    })
}

/// Checks that `dir` holds exactly the files of a checkpoint, each with its length and hash. What it accepts can be
/// opened with [`KeyedState::open`](crate::KeyedState::open). To be called before that, as RocksDB adds files of its own.
pub fn verify_restored(dir: &Path, files: &[ManifestFile]) -> Result<(), StateError> {
    for file in files {
        verify_file(dir, file)?;
    }
    let listing = std::fs::read_dir(dir).map_err(|source| StateError::Io {
        action: "list",
        path: dir.to_owned(),
        source,
    })?;
    for found in listing {
        let found = found.map_err(|source| StateError::Io {
            action: "list",
            path: dir.to_owned(),
            source,
        })?;
        let name = found.file_name().to_string_lossy().into_owned();
        if !files.iter().any(|file| file.name == name) {
            let fact = "does not belong to the checkpoint".to_owned();
            return Err(StateError::CheckpointFile { name, fact });
        }
    }
    Ok(())
}

/// Checks that `dir` holds a file of a checkpoint with its length and hash.
pub fn verify_file(dir: &Path, file: &ManifestFile) -> Result<(), StateError> {
    let differs = |fact: String| StateError::CheckpointFile { name: file.name.clone(), fact };
    let path = dir.join(&file.name);
    let length = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(differs("is missing".to_owned()));
        }
        Err(source) => return Err(StateError::Io { action: "inspect", path, source }),
    };
    if length != file.length {
        return Err(differs(format!("has {length} bytes, expected {}", file.length)));
    }
    let hash = hash_file(&path)?;
    if hash != file.blake3 {
        let (found, expected) = (hex(&hash), hex(&file.blake3));
        return Err(differs(format!("has hash {found}, expected {expected}")));
    }
    Ok(())
}

/// Removes a local database with everything in its folder. It is no error if there is none.
pub fn wipe(dir: &Path) -> Result<(), StateError> {
    match std::fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StateError::Io { action: "remove", path: dir.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> CheckpointManifest {
        let point = |n| LogPoint {
            number: CommitNumber(n),
            hash: CommitHash([n as u8; 32]),
            sequence: Sequence(n * 2),
        };
        CheckpointManifest {
            incarnation: Incarnation(0x1234_5678_9abc_def0_0011_2233_4455_6677),
            partition: "bank/fraud/3".to_owned(),
            module_digest: "ab".repeat(32),
            schema_versions: vec![("account".to_owned(), 2)],
            redo_from: point(7),
            newest: point(u64::MAX / 2),
            files: vec![
                ManifestFile { name: "000012.sst".to_owned(), length: 5, blake3: [1; 32] },
                ManifestFile { name: "CURRENT".to_owned(), length: 16, blake3: [2; 32] },
            ],
        }
    }

    fn refusal(from: &str, to: &str) -> String {
        let text = String::from_utf8(manifest().encode()).unwrap();
        assert!(text.contains(from), "{text}");
        CheckpointManifest::decode(text.replace(from, to).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_manifest_comes_back() {
        assert_eq!(CheckpointManifest::decode(&manifest().encode()).unwrap(), manifest());
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        assert!(
            refusal("\"version\": 1", "\"version\": 2")
                .contains("version 2, this program reads version 1")
        );
        assert!(refusal("000012.sst", "../etc/passwd").contains("`../etc/passwd` is no file name"));
        assert!(refusal("000012.sst", "..").contains("no file name"));
        assert!(refusal("CURRENT", "000012.sst").contains("ascending names"));
        assert!(refusal(&"01".repeat(32), "zz").contains("`zz` is no hash"));
        assert!(
            CheckpointManifest::decode(b"{")
                .unwrap_err()
                .to_string()
                .contains("not what was stored")
        );
    }
}
