//! Files on this machine, read and written piece by piece.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{BlobError, BlobInfo, Digest, Hasher};

/// Bytes read at once.
pub(super) const PIECE_BYTES: usize = 512 << 10;

pub(super) fn file_error(path: &Path) -> impl Fn(std::io::Error) -> BlobError + '_ {
    move |source| BlobError::File { path: path.display().to_string(), source }
}

impl BlobInfo {
    /// What the content of a file is called.
    pub async fn of_file(path: &Path) -> Result<BlobInfo, BlobError> {
        let mut file = File::open(path).await.map_err(file_error(path))?;
        let (mut hasher, mut bytes) = (Hasher::default(), 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece).await.map_err(file_error(path))?;
            if read == 0 {
                return Ok(BlobInfo { digest: hasher.finish(), bytes });
            }
            hasher.update(&piece[..read]);
            bytes += read as u64;
        }
    }
}

/// A file being received: invisible under its name until its content is verified.
pub(super) struct Incoming {
    path: PathBuf,
    // Removed when it is dropped before it is finished.
    temporary: tempfile::TempPath,
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Incoming {
    pub async fn create(path: &Path) -> Result<Incoming, BlobError> {
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".incoming-")
            .tempfile_in(folder)
            .map_err(file_error(folder))?;
        let (file, temporary) = temporary.into_parts();
        Ok(Incoming {
            path: path.to_owned(),
            temporary,
            file: File::from_std(file),
            hasher: Hasher::default(),
            bytes: 0,
        })
    }

    pub async fn write(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        self.file.write_all(piece).await.map_err(file_error(&self.path))
    }

    /// Gives the file its name if its content is what was asked for.
    pub async fn finish(mut self, store: &str, digest: &Digest) -> Result<BlobInfo, BlobError> {
        let found = self.hasher.finish();
        if found != *digest {
            return Err(BlobError::Damaged { store: store.to_owned(), digest: *digest, found });
        }
        self.file.flush().await.map_err(file_error(&self.path))?;
        self.temporary.persist(&self.path).map_err(|error| file_error(&self.path)(error.error))?;
        Ok(BlobInfo { digest: found, bytes: self.bytes })
    }
}
