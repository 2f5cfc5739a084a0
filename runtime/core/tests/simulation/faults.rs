//! What goes wrong in a run, and which bugs may be planted.

use crate::rng::Rng;

/// Kinds of faults. Each must fire somewhere within the runs of a test command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Fault {
    /// An owner dies at some step; what its database had not flushed is lost.
    Crash,
    /// An owner is stopped and wakes up later, when another one has the partition.
    Zombie,
    /// A second owner starts while the first is well.
    SecondOwner,
    /// An owner is asked to stop in an orderly way.
    Drain,
    /// An append is refused although nothing is wrong (code 10164).
    RefusedThoughFine,
    /// An append never reaches the log, and nobody says so.
    AppendLost,
    /// An append lands, and its acknowledgement is lost.
    AcknowledgementLost,
    /// An append arrives after the owner gave up on it.
    AppendDelayed,
    /// A read of the last record answers with an older one.
    StaleRead,
    /// The connection of an owner breaks; what is under way is lost.
    Disconnect,
    /// The broker is away for a while; consumers in memory are gone.
    BrokerRestart,
    /// The log's quota is full for a while.
    QuotaFull,
    /// All or the end of what a pull delivered is lost silently.
    PullLost,
    /// Records are delivered again.
    DuplicateDelivery,
    /// A node comes back with an older copy of its database.
    StaleDatabase,
    /// A node comes back with a database of a history that the log does not know.
    ForeignDatabase,
    /// A node comes back without its database.
    DatabaseLost,
    /// The source drops records that everybody has read.
    Retention,
    /// The source drops records that not everybody has read.
    SourcePurged,
    /// The source is re-created under its name.
    SourceRecreated,
    /// The source is rolled back to an older copy.
    SourceRolledBack,
    /// The log is trimmed.
    Trimmed,
    /// A local database was refused.
    Wiped,
    /// A checkpoint was restored.
    Restored,
    /// A takeover had to be made anew because the old owner had committed in between.
    TakeoverMoved,
    /// A partition had to commit for its place in the log alone.
    Anchored,
    /// A new owner found outputs in the sink that it need not publish.
    FoundInSink,
    /// A sink dropped a second copy of an output.
    DuplicatePublished,
}

impl Fault {
    pub const COUNT: usize = Self::DuplicatePublished as usize + 1;

    pub fn name(index: usize) -> String {
        const NAMES: [&str; Fault::COUNT] = [
            "Crash",
            "Zombie",
            "SecondOwner",
            "Drain",
            "RefusedThoughFine",
            "AppendLost",
            "AcknowledgementLost",
            "AppendDelayed",
            "StaleRead",
            "Disconnect",
            "BrokerRestart",
            "QuotaFull",
            "PullLost",
            "DuplicateDelivery",
            "StaleDatabase",
            "ForeignDatabase",
            "DatabaseLost",
            "Retention",
            "SourcePurged",
            "SourceRecreated",
            "SourceRolledBack",
            "Trimmed",
            "Wiped",
            "Restored",
            "TakeoverMoved",
            "Anchored",
            "FoundInSink",
            "DuplicatePublished",
        ];
        NAMES[index].to_owned()
    }
}

/// Bugs to prove that the simulation would find them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A commit counts as acknowledged as soon as it is sent.
    AcknowledgedBeforeLanded,
    /// The log does not compare the expected sequence.
    NoExpectedSequence,
    /// A refused owner takes the refusal for a late answer to its own append.
    FenceIgnored,
    /// A local database below the log's beginning is used as if it were at it.
    DatabaseNotChecked,
    /// A database claims to be complete up to its newest effect.
    RedoFromTooNew,
    /// The database gets effects of commits that are not acknowledged.
    UnacknowledgedPersisted,
    /// Redo leaves out some records.
    RedoSkips,
    /// The watermark generator does not go on from the committed position.
    WatermarkForgotten,
    /// The cursor in the log is ahead of what the sink has.
    CursorAhead,
    /// A new owner does not look into the sink.
    SinkNotRead,
    /// Message ids differ from owner to owner.
    IdsPerOwner,
    /// Outputs are published however long ago the ownership was confirmed.
    OwnershipNotConfirmed,
    /// Records delivered again are applied again.
    DuplicatesApplied,
    /// Missing deliveries are not noticed.
    ContinuityNotChecked,
    /// An empty pull is believed though deliveries are missing.
    EmptyPullBelieved,
    /// Another stream of the same name is read on.
    IdentityNotChecked,
    /// Trimming forgets what sinks lack.
    TrimForgetsEgress,
    /// Trimming forgets what checkpoints need.
    TrimForgetsCheckpoints,
}

impl Bug {
    pub const ALL: [Self; 18] = [
        Self::AcknowledgedBeforeLanded,
        Self::NoExpectedSequence,
        Self::FenceIgnored,
        Self::DatabaseNotChecked,
        Self::RedoFromTooNew,
        Self::UnacknowledgedPersisted,
        Self::RedoSkips,
        Self::WatermarkForgotten,
        Self::CursorAhead,
        Self::SinkNotRead,
        Self::IdsPerOwner,
        Self::OwnershipNotConfirmed,
        Self::DuplicatesApplied,
        Self::ContinuityNotChecked,
        Self::EmptyPullBelieved,
        Self::IdentityNotChecked,
        Self::TrimForgetsEgress,
        Self::TrimForgetsCheckpoints,
    ];
}

/// How likely what is in one run. A run has some kinds of faults and not others, so that rare
/// combinations are not drowned by common ones.
#[derive(Clone, Debug)]
pub struct Plan {
    pub partitions: u16,
    pub records: u64,
    pub keys: u64,
    pub filtered: bool,
    pub checkpoints: bool,
    /// Permille of appends.
    pub refused: u64,
    pub append_lost: u64,
    pub acknowledgement_lost: u64,
    pub append_delayed: u64,
    pub stale_read: u64,
    /// Permille of pulls.
    pub pull_lost: u64,
    pub duplicate_delivery: u64,
    /// Scheduled ones: (fault, mean time between two of them in milliseconds).
    pub scheduled: Vec<(Fault, i64)>,
    /// Faults are over at this time.
    pub calm_at_ms: i64,
    pub commit_bytes_max: usize,
    pub duplicate_window_ms: i64,
}

impl Plan {
    pub fn draw(rng: &mut Rng) -> Self {
        fn some(rng: &mut Rng, permille: u64) -> u64 {
            if rng.chance(500) { 1 + rng.below(permille) } else { 0 }
        }
        let mut scheduled = Vec::new();
        for (fault, mean_ms) in [
            (Fault::Crash, 700),
            (Fault::Zombie, 1_200),
            (Fault::SecondOwner, 1_500),
            (Fault::Drain, 2_000),
            (Fault::Disconnect, 500),
            (Fault::BrokerRestart, 2_500),
            (Fault::QuotaFull, 2_000),
            (Fault::StaleDatabase, 1_500),
            (Fault::ForeignDatabase, 4_000),
            (Fault::DatabaseLost, 3_000),
            (Fault::Retention, 1_000),
        ] {
            if rng.chance(400) {
                scheduled.push((fault, mean_ms * rng.between(50, 200) / 100));
            }
        }
        // These end the pipeline, so they are rare and come alone.
        let ends = [Fault::SourcePurged, Fault::SourceRecreated, Fault::SourceRolledBack];
        if rng.chance(120) {
            let end = ends[rng.below(3) as usize];
            scheduled.push((end, 4_000));
            // A roll-back cannot be told when the last record that was read is gone as well.
            scheduled
                .retain(|(fault, _)| end != Fault::SourceRolledBack || *fault != Fault::Retention);
        }
        Self {
            partitions: rng.between(1, 3) as u16,
            records: rng.between(30, 160) as u64,
            keys: rng.between(1, 12) as u64,
            filtered: rng.chance(300),
            checkpoints: rng.chance(700),
            refused: some(rng, 150),
            append_lost: some(rng, 150),
            acknowledgement_lost: some(rng, 150),
            append_delayed: some(rng, 80),
            stale_read: some(rng, 300),
            pull_lost: some(rng, 250),
            duplicate_delivery: some(rng, 200),
            scheduled,
            calm_at_ms: 8_000,
            commit_bytes_max: rng.between(1_500, 6_000) as usize,
            duplicate_window_ms: rng.between(2, 8) * 500,
        }
    }
}
