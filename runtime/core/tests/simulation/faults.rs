//! What goes wrong in a run, and which bugs may be planted.

use crate::rng::Rng;
use crate::topology::Topology;

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
    /// A sink refused a batch because another owner's came before.
    BatchRefused,
    /// A sink dropped a second copy of an output.
    DuplicatePublished,
    /// A read of another stage's commits ended before their end.
    ShortRead,
    /// A reader of another stage began further behind than its partition needs, for the sake of others.
    ReadsForOthers,
    /// What was read of another stage was applied before a restart.
    AppliedSkipped,
    /// Outputs of one upstream partition had to wait for another one.
    OutputsWait,
    /// The log could not be trimmed further because of a stage that reads another.
    HeldDownstream,
    /// A node dies with all that runs on it.
    NodeCrash,
    /// A node is stopped with all that runs on it, and wakes up later.
    NodePaused,
    /// A node is cut off from the broker, both ways.
    NodeCutOff,
    /// Nothing that a node sends arrives.
    NodeMuted,
    /// Nothing arrives at a node.
    NodeDeafened,
    /// A node stops in an orderly way, and comes back.
    NodeLeaves,
    /// Another node comes.
    NodeJoins,
    /// A node is asked to give its partitions away.
    NodeDrains,
    /// Two nodes coordinate at once.
    SecondCoordinator,
    /// The newest checkpoint cannot be read when it is wanted.
    CheckpointDamaged,
    /// A node woke up and had lost a partition meanwhile.
    LeaseExpired,
    /// An assignment was not written because another coordinator had been faster.
    AssignmentConflict,
    /// A node saw an older assignment than before.
    OutdatedAssignment,
    /// A node waited for the one that had a partition before.
    HandoverWaited,
    /// It did not wait any longer.
    HandoverTimedOut,
    /// A partition came back to a node that still had a database of it, which was left behind.
    MovedBack,
    /// A checkpoint was stored by a former owner.
    FormerCheckpoint,
    /// A node had a commit of a partition elsewhere from its log.
    FollowedElsewhere,
    /// A reader had commits of another stage from memory.
    TakenFromMemory,
    /// A standby applied a record.
    StandbyFollowed,
    /// What a standby found on its disk was not of the log.
    StandbyWiped,
    /// The log was trimmed before a standby.
    StandbyTrimmed,
    /// A standby's node took its partition over.
    StandbyTookOver,
    /// A reader of another stage stood still for a while.
    ReaderStalled,
    /// A reader that had begun further behind for others found the log trimmed.
    ReaderTrimmed,
    /// Sinks are so slow that nothing is handed to them for a while.
    SinksStall,
    /// Somebody rescales the pipeline.
    Rescale,
    /// Somebody else does already.
    SecondRescaling,
    /// Who rescales dies at some step.
    RescalingDied,
    /// What was taken is not of one barrier.
    BarrierRefused,
    /// A lane has gone on since it rested.
    MovedOn,
    /// An owner met a seal that holds.
    SealMet,
    /// The record of a sealed pipeline was written anew.
    Mended,
    /// A lane was taken over behind a seal that no longer holds.
    SealVoid,
    /// A write of the record landed after whoever sent it had given up on it.
    SwitchedLate,
    /// The record had changed before the new life could be written.
    SwitchRefused,
    /// A new life runs.
    Rescaled,
    /// An owner was started by an outdated record.
    FormerLifeStarted,
}

impl Fault {
    pub const COUNT: usize = Self::FormerLifeStarted as usize + 1;

    /// Whether it happens to nodes.
    pub fn is_of_nodes(self) -> bool {
        (Self::NodeCrash..=Self::SecondCoordinator).contains(&self)
    }

    /// Whether a kind of fault can happen in runs of this shape.
    pub fn happens_in(index: usize, shape: Shape) -> bool {
        let ends = Self::SourcePurged as usize..=Self::SourceRolledBack as usize;
        match shape {
            Shape::OneStage => index <= Self::DuplicatePublished as usize,
            Shape::Stages => index <= Self::HeldDownstream as usize && !ends.contains(&index),
            Shape::Cluster => {
                // These happen to a node, with all that runs on it.
                let of_owners = [Self::Crash, Self::Zombie, Self::Drain];
                index < Self::SinksStall as usize
                    && !ends.contains(&index)
                    && !of_owners.iter().any(|&of| of as usize == index)
            }
            Shape::Rescale => {
                let of_stages = index <= Self::HeldDownstream as usize;
                (of_stages && !ends.contains(&index)) || index >= Self::SinksStall as usize
            }
        }
    }

    /// Whether it takes more than the runs of a test command to see it.
    pub fn is_rare(index: usize) -> bool {
        index == Self::ReaderTrimmed as usize || index == Self::SwitchedLate as usize
    }

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
            "BatchRefused",
            "DuplicatePublished",
            "ShortRead",
            "ReadsForOthers",
            "AppliedSkipped",
            "OutputsWait",
            "HeldDownstream",
            "NodeCrash",
            "NodePaused",
            "NodeCutOff",
            "NodeMuted",
            "NodeDeafened",
            "NodeLeaves",
            "NodeJoins",
            "NodeDrains",
            "SecondCoordinator",
            "CheckpointDamaged",
            "LeaseExpired",
            "AssignmentConflict",
            "OutdatedAssignment",
            "HandoverWaited",
            "HandoverTimedOut",
            "MovedBack",
            "FormerCheckpoint",
            "FollowedElsewhere",
            "TakenFromMemory",
            "StandbyFollowed",
            "StandbyWiped",
            "StandbyTrimmed",
            "StandbyTookOver",
            "ReaderStalled",
            "ReaderTrimmed",
            "SinksStall",
            "Rescale",
            "SecondRescaling",
            "RescalingDied",
            "BarrierRefused",
            "MovedOn",
            "SealMet",
            "Mended",
            "SealVoid",
            "SwitchedLate",
            "SwitchRefused",
            "Rescaled",
            "FormerLifeStarted",
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
    /// A transactional sink takes a batch behind any cursor record.
    BatchNotFenced,
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
    /// The anchor of a stretch is taken to be its end while outputs in it are still to be applied.
    AnchorTooNew,
    /// A stage's reader begins with the commit behind the one where it must.
    ReadsOneLate,
    /// Outputs behind the anchor are applied again.
    AppliedAgain,
    /// What is applied of the first stretch is forgotten: its anchor is still the beginning.
    FirstStretchForgotten,
    /// A read of commits that ended early counts as if it had reached its end.
    ShortReadBelieved,
    /// A merge does not wait for the frontiers of all partitions.
    FrontierIgnored,
    /// A commit's frontier includes an advance whose timers have not all fired.
    FrontierAhead,
    /// A recovering partition forgets how far other stages' outputs are applied.
    StandingForgotten,
    /// A commit that the log has refused is read.
    RefusedCommitRead,
    /// What another stage needs is trimmed by one record too many.
    TrimOneTooFar,
    /// Trimming forgets the stages that read others.
    TrimForgetsDownstream,
    /// A commit that is refused is sent again behind whatever is last, of whatever generation.
    CommitsRebased,
    /// The log is trimmed for the partitions of one node only.
    TrimForOwnLanes,
    /// The log is trimmed up to what sinks have got since the last commit.
    TrimByMemory,
    /// A database that was left behind is used as if it were of the log's end.
    StaleDatabaseReused,
    /// The checkpoint that was stored last counts as the newest, whoever stored it.
    CheckpointsByArrival,
    /// An assignment is followed that is older than the last one.
    OlderAssignmentApplied,
    /// What another node's clock said is compared with the own clock.
    ClocksCompared,
    /// Who follows another node's partition begins anew without saying from where, and readers do not notice.
    FollowerSkipsGap,
    /// A standby takes over as if it had applied all that is in the log.
    StandbyWithoutTail,
    /// A standby goes on behind records that it has missed.
    StandbySkipsGap,
    /// A standby does not check whether what it finds on its disk is of the log.
    StandbyUnchecked,
    /// The lanes of the old life are not sealed before the record is written.
    NotSealed,
    /// A seal is appended behind whatever is last.
    SealedAnywhere,
    /// A sealed lane is taken over.
    SealIgnored,
    /// Who finds a lane sealed goes on after a while, without writing the record.
    SealTimesOut,
    /// The record is written whatever it says.
    SwitchUnconditional,
    /// Every owner stops where it is.
    BarrierUneven,
    /// An owner rests before the sinks have its outputs.
    RestsBeforeSinks,
    /// Timers stay behind when state is dealt out.
    TimersNotDealt,
    /// State goes to partitions by the number of the one that it comes from.
    StateMisdealt,
}

impl Bug {
    /// Those that show with one stage.
    pub const OF_ONE_STAGE: [Self; 19] = [
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
        Self::BatchNotFenced,
        Self::IdsPerOwner,
        Self::OwnershipNotConfirmed,
        Self::DuplicatesApplied,
        Self::ContinuityNotChecked,
        Self::EmptyPullBelieved,
        Self::IdentityNotChecked,
        Self::TrimForgetsEgress,
        Self::TrimForgetsCheckpoints,
    ];

    /// Those that show with several stages only.
    pub const OF_THE_EXCHANGE: [Self; 11] = [
        Self::AnchorTooNew,
        Self::ReadsOneLate,
        Self::AppliedAgain,
        Self::FirstStretchForgotten,
        Self::ShortReadBelieved,
        Self::FrontierIgnored,
        Self::FrontierAhead,
        Self::StandingForgotten,
        Self::RefusedCommitRead,
        Self::TrimOneTooFar,
        Self::TrimForgetsDownstream,
    ];
}

impl Bug {
    /// Those that show with several nodes.
    pub const OF_THE_CLUSTER: [Self; 11] = [
        Self::CommitsRebased,
        Self::TrimForOwnLanes,
        Self::TrimByMemory,
        Self::StaleDatabaseReused,
        Self::CheckpointsByArrival,
        Self::OlderAssignmentApplied,
        Self::ClocksCompared,
        Self::FollowerSkipsGap,
        Self::StandbyWithoutTail,
        Self::StandbySkipsGap,
        Self::StandbyUnchecked,
    ];
}

impl Bug {
    /// Those that show when a pipeline is rescaled.
    pub const OF_RESCALING: [Self; 9] = [
        Self::NotSealed,
        Self::SealedAnywhere,
        Self::SealIgnored,
        Self::SealTimesOut,
        Self::SwitchUnconditional,
        Self::BarrierUneven,
        Self::RestsBeforeSinks,
        Self::TimersNotDealt,
        Self::StateMisdealt,
    ];
}

/// What kind of pipeline a run has, and where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    OneStage,
    /// Two or three of them that read each other.
    Stages,
    /// One to three of them on several nodes.
    Cluster,
    /// One to three of them, whose number of partitions changes.
    Rescale,
}

/// How likely what is in one run. A run has some kinds of faults and not others, so that rare
/// combinations are not drowned by common ones.
#[derive(Clone, Debug)]
pub struct Plan {
    pub topology: Topology,
    pub records: u64,
    pub keys: u64,
    pub filtered: bool,
    pub checkpoints: bool,
    pub checkpoint_every_ms: i64,
    /// Permille of appends.
    pub refused: u64,
    pub append_lost: u64,
    pub acknowledgement_lost: u64,
    pub append_delayed: u64,
    pub stale_read: u64,
    /// Permille of readers of other stages that serve other partitions, too.
    pub shared_readers: u64,
    /// By how much later the stages begin that read others, milliseconds: they find many commits.
    pub late_ms: i64,
    /// When a lane commits that has only scanned.
    pub quiet_commit_ms: i64,
    /// Permille of pulls.
    pub pull_lost: u64,
    pub duplicate_delivery: u64,
    /// Permille of restores.
    pub checkpoint_damaged: u64,
    /// Permille of reads of other stages' commits behind which a reader stalls.
    pub reader_stalled: u64,
    /// Nodes that stand by for each lane.
    pub standbys: u16,
    /// Permille of steps at which who rescales dies, or sleeps.
    pub rescaling_dies: u64,
    pub rescaling_sleeps: u64,
    /// Permille of looks at the pipeline's record.
    pub stale_record: u64,
    /// Scheduled ones: (fault, mean time between two of them in milliseconds).
    pub scheduled: Vec<(Fault, i64)>,
    /// Faults are over at this time.
    pub calm_at_ms: i64,
    pub commit_bytes_max: usize,
    pub duplicate_window_ms: i64,
    /// Whether the second sink is transactional.
    pub transactional: bool,
}

impl Plan {
    pub fn draw(shape: Shape, rng: &mut Rng) -> Self {
        fn some(rng: &mut Rng, permille: u64) -> u64 {
            if rng.chance(500) { 1 + rng.below(permille) } else { 0 }
        }
        let mut scheduled = Vec::new();
        const OF_OWNERS: [(Fault, i64); 4] = [
            (Fault::Crash, 700),
            (Fault::Zombie, 1_200),
            (Fault::SecondOwner, 1_500),
            (Fault::Drain, 2_000),
        ];
        const OF_NODES: [(Fault, i64); 9] = [
            (Fault::NodeCrash, 2_000),
            (Fault::NodePaused, 1_500),
            (Fault::NodeCutOff, 2_000),
            (Fault::NodeMuted, 2_500),
            (Fault::NodeDeafened, 2_500),
            (Fault::NodeLeaves, 2_500),
            (Fault::NodeJoins, 1_500),
            (Fault::NodeDrains, 2_500),
            (Fault::SecondCoordinator, 2_000),
        ];
        let own: &[_] = if shape == Shape::Cluster { &OF_NODES } else { &OF_OWNERS };
        for (fault, mean_ms) in own.iter().copied().chain([
            (Fault::Disconnect, 500),
            (Fault::BrokerRestart, 2_500),
            (Fault::QuotaFull, 2_000),
            (Fault::StaleDatabase, 1_500),
            (Fault::ForeignDatabase, 4_000),
            (Fault::DatabaseLost, 3_000),
            (Fault::Retention, 1_000),
        ]) {
            if rng.chance(400) {
                // More lanes have more owners.
                let share = if matches!(shape, Shape::Stages | Shape::Rescale) { 3 } else { 1 };
                scheduled.push((fault, mean_ms * rng.between(50, 200) / 100 / share));
            }
        }
        // These end the pipeline, so they are rare and come alone.
        let ends = [Fault::SourcePurged, Fault::SourceRecreated, Fault::SourceRolledBack];
        if shape == Shape::OneStage && rng.chance(120) {
            let end = ends[rng.below(3) as usize];
            scheduled.push((end, 4_000));
            // A roll-back cannot be told when the last record that was read is gone as well.
            scheduled
                .retain(|(fault, _)| end != Fault::SourceRolledBack || *fault != Fault::Retention);
        }
        if shape == Shape::Rescale {
            scheduled.push((Fault::Rescale, rng.between(400, 1_500)));
            if rng.chance(400) {
                scheduled.push((Fault::SinksStall, rng.between(300, 1_500)));
            }
        }
        let mut of_rescaling =
            |permille| if shape == Shape::Rescale { some(rng, permille) } else { 0 };
        let (rescaling_dies, rescaling_sleeps, stale_record) =
            (of_rescaling(40), of_rescaling(80), of_rescaling(400));
        let keys = rng.between(1, 12) as u64;
        let topology = match shape {
            Shape::OneStage => Topology::single(rng.between(1, 3) as u16, keys),
            Shape::Cluster | Shape::Rescale if rng.chance(300) => {
                Topology::single(rng.between(1, 4) as u16, keys)
            }
            Shape::Stages | Shape::Cluster | Shape::Rescale => Topology::draw(rng),
        };
        Self {
            topology,
            records: rng.between(30, 160) as u64,
            keys,
            shared_readers: 500 * rng.below(3),
            late_ms: if rng.chance(300) { rng.between(100, 3_000) } else { 0 },
            quiet_commit_ms: rng.between(10, 200),
            filtered: rng.chance(300),
            checkpoints: rng.chance(700),
            refused: some(rng, 150),
            append_lost: some(rng, 150),
            acknowledgement_lost: some(rng, 150),
            append_delayed: some(rng, 80),
            stale_read: some(rng, 300),
            pull_lost: some(rng, 250),
            duplicate_delivery: some(rng, 200),
            checkpoint_damaged: if shape == Shape::Cluster { some(rng, 400) } else { 0 },
            reader_stalled: if shape == Shape::Cluster { some(rng, 60) } else { 0 },
            standbys: if shape == Shape::Cluster { rng.below(3) as u16 } else { 0 },
            rescaling_dies,
            rescaling_sleeps,
            stale_record,
            checkpoint_every_ms: match shape {
                Shape::Cluster => rng.between(80, 400),
                _ => 400,
            },
            scheduled,
            calm_at_ms: 8_000,
            commit_bytes_max: rng.between(1_500, 6_000) as usize,
            duplicate_window_ms: rng.between(2, 8) * 500,
            transactional: rng.chance(500),
        }
    }
}
