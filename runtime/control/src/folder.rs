//! A node's data folder: whose it is, and that one process at a time uses it.
//!
//! The folder holds the file `node`: 32 hexadecimal digits, made when the folder was first used, and an advisory lock for
//! as long as a process lives. So a node that was killed is known again when it is started on its folder, and
//! need not wait until the lease of its former process expires.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use millstream_core::ids::Incarnation;

use crate::clock;
use crate::errors;
use crate::problem::Problem;

/// The file with the identity and the lock.
const FILE: &str = "node";

/// A data folder that this process alone uses.
#[derive(Debug)]
pub struct DataFolder {
    identity: Incarnation,
    // Unlocked when it is closed, also by SIGKILL.
    _lock: File,
}

impl DataFolder {
    /// Claims a folder, which is made if it does not exist.
    ///
    /// # Errors
    /// MS1409 if another process uses it, MS1410 if it cannot be written.
    pub fn claim(folder: &Path) -> Result<DataFolder, Problem> {
        let path = folder.join(FILE);
        let unusable = |error: &io::Error| {
            Problem::new(
                errors::FOLDER_UNUSABLE,
                format!("the data folder cannot be used: {}: {error}", path.display()),
            )
            .help("name a folder that this user may write with `--data`")
        };
        let open = || -> io::Result<File> {
            fs::create_dir_all(folder)?;
            File::options().read(true).write(true).create(true).truncate(false).open(&path)
        };
        let mut file = open().map_err(|error| unusable(&error))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Problem::new(
                errors::FOLDER_IN_USE,
                format!("another process uses the data folder {}", folder.display()),
            )
            .help("end that one, or name another folder with `--data`"),
            TryLockError::Error(error) => unusable(&error),
        })?;
        let identity = identity(&mut file).map_err(|error| unusable(&error))?;
        Ok(DataFolder { identity, _lock: file })
    }

    /// Random number of the folder: the same at every start of the node that it belongs to.
    pub fn identity(&self) -> Incarnation {
        self.identity
    }
}

/// Reads the number. What is no number (a new file, or one whose writing was cut off) is replaced by a new one: the
/// node then merely waits for its former lease once.
fn identity(file: &mut File) -> io::Result<Incarnation> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let known = str::from_utf8(&bytes).ok().map(str::trim).filter(|text| text.len() == 32);
    if let Some(number) = known.and_then(|text| u128::from_str_radix(text, 16).ok()) {
        return Ok(Incarnation(number));
    }
    let made = clock::random_incarnation();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{:032x}", made.0)?;
    file.sync_all()?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_identity_and_is_used_by_one_at_a_time() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("new");
        let first = DataFolder::claim(&folder).unwrap();
        let identity = first.identity();
        assert_eq!(DataFolder::claim(&folder).unwrap_err().code, errors::FOLDER_IN_USE);
        drop(first);
        assert_eq!(DataFolder::claim(&folder).unwrap().identity(), identity);
        let other = DataFolder::claim(&base.path().join("other")).unwrap();
        assert_ne!(other.identity(), identity);

        fs::write(folder.join(FILE), "cut of").unwrap();
        let replaced = DataFolder::claim(&folder).unwrap().identity();
        assert_ne!(replaced, identity);
        assert_eq!(DataFolder::claim(&folder).unwrap().identity(), replaced);

        fs::write(base.path().join("file"), "").unwrap();
        let refused = DataFolder::claim(&base.path().join("file")).unwrap_err();
        assert_eq!(refused.code, errors::FOLDER_UNUSABLE);
    }
}
