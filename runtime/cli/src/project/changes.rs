//! Changes of a project's files, as the kernel tells of them (inotify).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_control::errors;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::failure::Failure;

/// An editor saves with several calls, and may save several files: they count as one change if they come within this.
const SETTLES_AFTER: Duration = Duration::from_millis(50);
/// Bytes of the buffer for events.
const BUFFER_BYTES: usize = 8192;
/// What is in folders of caches, such as cargo's `target`.
const MARK_OF_A_CACHE: &str = "CACHEDIR.TAG";

/// Tells when files below a folder have changed: written, moved or deleted. Hidden files, backups of editors and folders of
/// caches do not count.
pub struct Changes {
    changed: Receiver<()>,
}

impl Changes {
    /// Changes from now on.
    ///
    /// # Errors
    /// MS1519 if the kernel watches no more files.
    pub fn below(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: Errno| {
            let error = std::io::Error::from(error);
            Failure::coded(errors::SYSTEM, format!("cannot watch {}", folder.display()))
                .because(&error)
                .help("look at the limits: sysctl fs.inotify")
        };
        let kernel = inotify::init(CreateFlags::CLOEXEC).map_err(failed)?;
        let mut folders = HashMap::new();
        watch(&kernel, folder, &mut folders).map_err(failed)?;
        let (sender, changed) = mpsc::channel(1);
        // It waits in the kernel, and ends with the process.
        std::thread::spawn(move || listen(&kernel, folders, &sender));
        Ok(Changes { changed })
    }

    /// Waits for the next change. False if there will be none. Nothing is lost by not waiting to the end.
    pub async fn next(&mut self) -> bool {
        self.changed.recv().await.is_some()
    }

    /// Waits until no more changes come for a moment.
    pub async fn settle(&mut self) {
        while let Ok(Some(())) = tokio::time::timeout(SETTLES_AFTER, self.changed.recv()).await {}
    }
}

/// Watches a folder and those in it.
fn watch(
    kernel: &OwnedFd,
    folder: &Path,
    folders: &mut HashMap<i32, PathBuf>,
) -> Result<(), Errno> {
    let flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::ONLYDIR;
    let number = inotify::add_watch(kernel, folder, flags)?;
    folders.insert(number, folder.to_owned());
    // A folder that cannot be listed has gone again.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && counts(&entry.file_name()) && !is_cache(&entry.path()) {
            watch(kernel, &entry.path(), folders)?;
        }
    }
    Ok(())
}

/// Passes changes on until nobody listens.
fn listen(kernel: &OwnedFd, mut folders: HashMap<i32, PathBuf>, changed: &Sender<()>) {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut events = Reader::new(kernel, &mut buffer);
    loop {
        let event = match events.next() {
            Ok(event) => event,
            Err(Errno::INTR) => continue,
            Err(error) => {
                tracing::error!(%error, "changes of files are no longer seen");
                return;
            }
        };
        let name = OsStr::from_bytes(event.file_name().map_or(b"", |name| name.to_bytes()));
        let (what, number) = (event.events(), event.wd());
        if !counts(name) {
            continue;
        }
        if what.contains(ReadFlags::ISDIR) {
            let folder = folders.get(&number).map(|parent| parent.join(name));
            let is_new = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            let Some(folder) = folder.filter(|folder| is_new && !is_cache(folder)) else {
                continue;
            };
            // One that has gone again needs no watch.
            if let Err(error) = watch(kernel, &folder, &mut folders) {
                tracing::debug!(%error, "a folder is not watched");
            }
        } else if what == ReadFlags::CREATE {
            // Its end of writing follows.
            continue;
        }
        // A change that was not looked at yet stands for this one, too.
        if let Err(TrySendError::Closed(())) = changed.try_send(()) {
            return;
        }
    }
}

/// Whether a file or folder of this name is part of a project.
fn counts(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.starts_with(b".") && !name.ends_with(b"~") && name != b"target"
}

fn is_cache(folder: &Path) -> bool {
    folder.join(MARK_OF_A_CACHE).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more than the kernel needs.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn changes_are_told_also_of_folders_that_are_new() {
        let project = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| project.path().join(name);
        fs::create_dir_all(at("src")).expect("create");
        let mut changes = Changes::below(project.path()).expect("watch");

        let mut changed = async || {
            let changed = tokio::time::timeout(PATIENCE, changes.next()).await;
            assert_eq!(changed, Ok(true));
            changes.settle().await;
        };
        fs::write(at("src/lib.rs"), "x").expect("write");
        changed().await;
        fs::create_dir_all(at("src/new/deeper")).expect("create");
        changed().await;
        fs::write(at("src/new/deeper/mod.rs"), "x").expect("write");
        changed().await;
        fs::rename(at("src/new/deeper/mod.rs"), at("src/new/other.rs")).expect("rename");
        changed().await;
        fs::remove_file(at("src/lib.rs")).expect("remove");
        changed().await;
    }

    #[test]
    fn what_cargo_and_editors_leave_does_not_count() {
        for name in ["lib.rs", "pipeline.yaml", "Cargo.toml"] {
            assert!(counts(OsStr::new(name)), "{name}");
        }
        for name in ["target", ".git", ".lib.rs.swp", "lib.rs~"] {
            assert!(!counts(OsStr::new(name)), "{name}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!is_cache(folder.path()));
        fs::write(folder.path().join(MARK_OF_A_CACHE), "").expect("write");
        assert!(is_cache(folder.path()));
    }
}
