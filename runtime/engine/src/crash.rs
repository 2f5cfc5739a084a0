//! Crash points: the moments before and after each durable step of a worker. What must hold wherever a process dies is
//! tested by making it die at every one of them ([`on_reached`]). Nothing in a shipped binary listens; there, reaching one
//! costs a load.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// What outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The log's stream is opened, and made if it is not there.
    OpenLog,
    /// The streams of dead letters are looked for, and made if they are not there.
    OpenDeadLetters,
    /// What a process that died left beside a partition's database is removed.
    RemoveLeftovers,
    /// A partition's database is opened, and made if it is not there.
    OpenState,
    /// A partition's takeover is appended to the log.
    AppendTakeover,
    /// A commit is appended to the log.
    AppendCommit,
    /// An output or a dead letter is published.
    PublishOutput,
    /// Acknowledged state is written to the local database, if it is time.
    PersistState,
    /// A damaged local database is removed.
    WipeState,
    /// The local database is hard-linked for a checkpoint.
    TakeCheckpoint,
    /// The tables of a checkpoint are named in the store, before any of them is there.
    AnnounceUpload,
    /// A table of a checkpoint is stored.
    UploadTable,
    /// A file that belongs to one checkpoint only is stored.
    UploadFile,
    /// The document that makes a checkpoint one is stored.
    UploadManifest,
    /// That document is read back.
    ReadManifest,
    /// The hard links of a checkpoint that is stored are removed.
    RemoveLinks,
    /// The oldest checkpoint and its files are removed from the store.
    ForgetCheckpoint,
    /// Of it, the document that makes it a checkpoint.
    ForgetManifest,
    /// Of it, a file that belongs to no other.
    ForgetFile,
    /// The folder that a checkpoint is restored into is emptied.
    EmptyFolder,
    /// A file of a checkpoint is put into an empty folder.
    RestoreFile,
    /// The log's beginning is purged.
    PurgeLog,
}

impl Step {
    /// All steps.
    pub const ALL: [Step; 22] = [
        Step::OpenLog,
        Step::OpenDeadLetters,
        Step::RemoveLeftovers,
        Step::OpenState,
        Step::AppendTakeover,
        Step::AppendCommit,
        Step::PublishOutput,
        Step::PersistState,
        Step::TakeCheckpoint,
        Step::AnnounceUpload,
        Step::UploadTable,
        Step::UploadFile,
        Step::UploadManifest,
        Step::ReadManifest,
        Step::RemoveLinks,
        Step::ForgetCheckpoint,
        Step::ForgetManifest,
        Step::ForgetFile,
        Step::WipeState,
        Step::PurgeLog,
        Step::EmptyFolder,
        Step::RestoreFile,
    ];

    fn name(self) -> &'static str {
        match self {
            Step::OpenLog => "open-log",
            Step::OpenDeadLetters => "open-dead-letters",
            Step::RemoveLeftovers => "remove-leftovers",
            Step::OpenState => "open-state",
            Step::AppendTakeover => "append-takeover",
            Step::AppendCommit => "append-commit",
            Step::PublishOutput => "publish-output",
            Step::PersistState => "persist-state",
            Step::WipeState => "wipe-state",
            Step::TakeCheckpoint => "take-checkpoint",
            Step::AnnounceUpload => "announce-upload",
            Step::UploadTable => "upload-table",
            Step::UploadFile => "upload-file",
            Step::UploadManifest => "upload-manifest",
            Step::ReadManifest => "read-manifest",
            Step::RemoveLinks => "remove-links",
            Step::ForgetCheckpoint => "forget-checkpoint",
            Step::ForgetManifest => "forget-manifest",
            Step::ForgetFile => "forget-file",
            Step::EmptyFolder => "empty-folder",
            Step::RestoreFile => "restore-file",
            Step::PurgeLog => "purge-log",
        }
    }
}

/// A moment at which a process may die. As text: `before:append-commit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The step has not begun.
    Before(Step),
    /// The step is done, and nothing yet depends on it.
    After(Step),
}

impl CrashPoint {
    /// All points.
    pub fn all() -> impl Iterator<Item = CrashPoint> {
        Step::ALL.into_iter().flat_map(|step| [CrashPoint::Before(step), CrashPoint::After(step)])
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CrashPoint::Before(step) => write!(f, "before:{}", step.name()),
            CrashPoint::After(step) => write!(f, "after:{}", step.name()),
        }
    }
}

/// Not the name of a crash point.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no crash point; one is `before:append-commit`")]
pub struct UnknownCrashPoint(String);

impl FromStr for CrashPoint {
    type Err = UnknownCrashPoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = CrashPoint::all().find(|point| point.to_string() == text);
        found.ok_or_else(|| UnknownCrashPoint(text.to_owned()))
    }
}

/// Hears of every crash point that is reached.
type Listener = Box<dyn Fn(CrashPoint) + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Calls `listener` at every crash point of this process from now on, on the thread that reached it. For tests, once; a
/// second listener is not heard.
pub fn on_reached(listener: impl Fn(CrashPoint) + Send + Sync + 'static) {
    // The first one stays.
    let _ = LISTENER.set(Box::new(listener));
}

#[inline]
fn reach(point: CrashPoint) {
    if let Some(listener) = LISTENER.get() {
        listener(point);
    }
}

/// A step that is about to begin.
pub(crate) fn before(step: Step) {
    reach(CrashPoint::Before(step));
}

/// A step that is done.
pub(crate) fn after(step: Step) {
    reach(CrashPoint::After(step));
}

/// Runs a step between its two points.
pub(crate) async fn around<T>(step: Step, doing: impl Future<Output = T>) -> T {
    before(step);
    let done = doing.await;
    after(step);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_told_by_their_names() {
        for point in CrashPoint::all() {
            assert_eq!(point.to_string().parse::<CrashPoint>().unwrap(), point);
        }
        assert_eq!(CrashPoint::all().count(), 44);
        let unknown = "during:append-commit".parse::<CrashPoint>().unwrap_err();
        assert!(unknown.to_string().contains("during:append-commit"));
    }
}
