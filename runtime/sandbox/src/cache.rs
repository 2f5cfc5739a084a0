//! Compiled code on disk, so that a module is compiled once per engine version and machine.
//!
//! Loading compiled code runs it: a file is only loaded if this process's own folder holds it under
//! the name for that module and engine, and if its content has the hash that was stored with
//! it. That finds damage, not malice: whoever can write to the folder can run code as this
//! process, so the folder is made for its owner alone.

use crate::error::SandboxError;
use sha2::{Digest, Sha256};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;

/// What a file begins with; then 32 bytes of SHA-256 over the rest.
const MAGIC: &[u8; 8] = b"MSCODE01";
const HEADER_BYTES: usize = MAGIC.len() + 32;

/// A folder of compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// The engine's version and configuration, and the machine's features.
    engine: String,
}

impl Cache {
    /// Opens or makes the folder.
    pub fn open(folder: &Path, engine: &Engine) -> Result<Self, SandboxError> {
        make_folder(folder)
            .map_err(|source| SandboxError::CacheFolder { path: folder.to_owned(), source })?;
        let mut hasher = Stable(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = hex::encode(&hasher.0.finalize()[..8]);
        Ok(Self { folder: folder.to_owned(), engine })
    }

    /// The compiled code of a module, if it is here and whole.
    pub fn load(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let mut content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "compiled code cannot be read");
                }
                return None;
            }
        };
        let whole = content.len() >= HEADER_BYTES
            && content.starts_with(MAGIC)
            && Sha256::digest(&content[HEADER_BYTES..])[..] == content[MAGIC.len()..HEADER_BYTES];
        if !whole {
            tracing::warn!(path = %path.display(), "compiled code is damaged and is made again");
            return None;
        }
        content.drain(..HEADER_BYTES);
        Some(content)
    }

    /// Whether there is a file for a module, whole or not.
    pub fn holds(&self, digest: &[u8; 32]) -> bool {
        self.path(digest).is_file()
    }

    /// Keeps compiled code. A failure costs a compilation later, nothing else.
    pub fn store(&self, digest: &[u8; 32], code: &[u8]) {
        let path = self.path(digest);
        if let Err(error) = self.write(&path, code) {
            tracing::warn!(path = %path.display(), %error, "compiled code cannot be kept");
        }
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}-{}.code", hex::encode(digest), self.engine))
    }

    /// Other threads and processes see the whole file or none.
    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        let written = (|| {
            let mut file = fs::File::create_new(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            fs::File::open(&self.folder)?.sync_all()
        })();
        if written.is_err() {
            // It may never have been made.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Hashes with SHA-256: the standard library's hashers may differ between builds.
struct Stable(Sha256);

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.clone().finalize();
        u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"))
    }
}
