//! 13xx: the registry, pipelines, state and dead letters.

super::catalogue! {
    MODULE_UNKNOWN = 1301, "no such module",
        "The registry holds no module of this reference.",
        "`millstream module ls` lists names, versions and digests.";
    MODULE_VERSION_TAKEN = 1302, "this version exists with other bytes",
        "A name and version mean the same bytes for ever, so that what runs can be known from the manifest.",
        "Raise the version in the module's description and push again.";
    MODULE_IN_USE = 1303, "the module is in use",
        "At least one pipeline runs it.",
        "Change or delete the pipelines that the message lists first.";
    MODULE_NOT_STORED = 1304, "the module's bytes are not in the store",
        "The request names a digest under which the object store holds nothing, or something damaged.",
        "Push the file again with `millstream module push`.";
    MODULE_TOO_LARGE = 1305, "the module is too large",
        "The module has more bytes than a node accepts.",
        "Build with `--release`, `opt-level = \"s\"` and `strip = true`, and remove dependencies that are not needed. A guest that brings an interpreter needs nodes that run with a higher `--module-mib`.";
    MODULE_AMBIGUOUS = 1306, "several versions are meant",
        "The reference is a name of which the registry holds several versions.",
        "Add the version: `card-fraud@1.0.0`.";
    PIPELINE_UNKNOWN = 1310, "no such pipeline",
        "There is no pipeline of this name.",
        "`millstream get` lists pipelines.";
    PIPELINE_CHANGED = 1311, "the pipeline was changed meanwhile",
        "Somebody else changed the pipeline between reading and writing, or it is not at the revision the request named.",
        "Look at it again (`millstream diff`) and repeat the command.";
    PIPELINE_BEING_DELETED = 1312, "the pipeline is being deleted",
        "Its log, state and checkpoints are being removed; until that is done its name cannot be used.",
        "Wait until `millstream get` no longer shows it, or use another name.";
    PIPELINE_NOT_RUNNING = 1313, "the pipeline is not running",
        "The request needs the pipeline's partitions, and the node holds none of them now.",
        "`millstream describe NAME` says why. Resume it if it was stopped.";
    STAGE_UNKNOWN = 1314, "no such stage",
        "The pipeline has no stage of this name, or it has several and the request names none.",
        "Name one of the stages listed in the message with `--stage`.";
    STATE_UNREADABLE = 1315, "the state cannot be read",
        "The partition that holds the key could not answer.",
        "`millstream describe NAME` says how the partition is.";
    CHECKPOINT_FAILED = 1316, "the checkpoint was not stored",
        "The checkpoint store refused or did not answer. The pipeline goes on; its log keeps what the checkpoint would have held.",
        "Check the store that the message names, then repeat `millstream checkpoint`.";
    PARTITION_UNKNOWN = 1317, "no such partition",
        "The stage has fewer partitions.",
        "Partitions are counted from 0.";
    PIPELINE_FAILED = 1318, "the pipeline failed",
        "It cannot go on by itself: a record failed in a stage that says `on-error: stop`, a source lost records, or the node met something that a person must decide.",
        "`millstream describe NAME` shows each partition. `millstream resume NAME` tries again once the cause is gone.";
    SINK_UNKNOWN = 1319, "no such sink",
        "The pipeline's manifest has no sink of this name, or none at all.",
        "Name one of the sinks listed in the message.";
    DEAD_LETTER_UNKNOWN = 1320, "no such dead letter",
        "The stream of dead letters holds nothing at this sequence. It may have been redriven or dropped.",
        "`millstream dlq ls` lists what there is.";
    NOTHING_TO_REDRIVE = 1321, "the dead letter cannot be redriven",
        "It is a timer's, which has no record, or its stage does not read the input any more that the record came from.",
        "Let the stage read that input again, or delete the letter with `millstream dlq drop`.";
    SAVEPOINT_UNKNOWN = 1322, "no such savepoint",
        "No savepoint of this name is stored. It may have been removed.",
        "`millstream savepoint ls` lists what there is.";
    SAVEPOINT_FAILED = 1323, "the savepoint cannot be taken, listed or removed",
        "The pipeline did not come to rest, the checkpoint store refused or did not answer, or the name is taken or none. A pipeline that runs goes on.",
        "The message says which. Take it again, if need be under another name.";
    SAVEPOINT_NOT_RESTORED = 1324, "the savepoint cannot be restored",
        "The manifest has other stages or inputs than the savepoint, a module cannot go on with its state, or a file is damaged or missing.          No pipeline was made or changed.",
        "The message says what does not fit. Other stages need a new pipeline that begins with its sources.";
    PARTITIONS_NOT_CHANGED = 1325, "the manifest's partitions cannot be changed",
        "The number of partitions is written into the text of the manifest, which has to have one field of a stage a line.",
        "Apply the manifest once with its stages written so, then repeat the command.";
    PIPELINE_EXISTS = 1326, "there is a pipeline of this name",
        "A savepoint begins a new pipeline; it does not take one back.",
        "Give the manifest another name, or delete the pipeline first.";
    PIPELINE_SPREAD = 1327, "the pipeline does not come to one node",
        "A savepoint stops all partitions at a common place. For that they go to one node, and some did not get there.",
        "`millstream describe` says which partitions do not run. Once all do, repeat the command.";
}
