//! 12xx: changes that a pipeline with a history cannot take.

super::catalogue! {
    SOURCE_CHANGED = 1201, "a source cannot be changed",
        "Positions, event times and watermarks in the pipeline's log belong to the source as it was. With another stream, filter, start, event time or watermark they would mean something else.",
        "Apply the manifest under a new `name`; the new pipeline reads from its own `start`. Then delete the old one.";
    SOURCES_CHANGED = 1202, "sources cannot be added or removed",
        "A stage's watermark is taken over its sources, and its commits hold one position for each.",
        "Apply the manifest under a new `name`.";
    PARTITIONS_CHANGED = 1203, "the number of partitions cannot be changed",
        "Keys are distributed over partitions by their hash, and each partition's state and log belong to its keys.",
        "`millstream rescale NAME --partitions 8` changes it: the state is dealt out anew, and the manifest on record changes with it.";
    KEY_CHANGED = 1204, "the key cannot be changed",
        "State is kept under the key that the records had.",
        "Apply the manifest under a new `name`.";
    STAGES_CHANGED = 1205, "stages cannot be added, removed or renamed",
        "A stage owns logs and state under its name.",
        "Apply the manifest under a new `name`, or put the new stage into a pipeline of its own.";
    INPUTS_CHANGED = 1206, "a stage's inputs cannot be changed",
        "A partition's commits hold positions per input, in the order in which the module declares them.",
        "Apply the manifest under a new `name`, or keep the inputs and their order in the new version of the module.";
    CHECKPOINT_STORE_CHANGED = 1207, "the checkpoint store cannot be changed",
        "The log is trimmed below what the stored checkpoints hold. Until a new store held checkpoints of all partitions, a lost folder could not be restored.",
        "Keep the store, or apply the manifest under a new `name`.";
    STATE_REMOVED = 1210, "the new module lacks a state",
        "The running module keeps a state that the new one does not declare. What is stored there would be lost.",
        "Keep declaring the state, or apply the manifest under a new `name`.";
    STATE_KIND = 1211, "the kind of a state changed",
        "A `value`, a `list` and a `map` are stored differently.",
        "Declare a new state of the new kind under another name and keep the old one.";
    STATE_SCHEMA = 1212, "the new module cannot read a state",
        "The state may hold elements of a schema version that the new module does not read. Elements are migrated when they are read, so old ones stay until they are written again: a module must read all versions that the one before it wrote or read.",
        "Let the new module migrate that version (in Rust `#[state(version = 2, migrate = function)]`), or declare a new state under another name and keep the old one, or apply the manifest under a new `name`.";
    STATE_ORDER = 1213, "declared states changed their order",
        "States are stored by their place in the module's description. New ones go behind the old ones.",
        "Declare the old states first, in the old order.";
    TIMER_CHANGED = 1214, "a declared timer was removed, moved or changed its clock",
        "Pending timers are stored by their place in the module's description and the clock they follow.",
        "Declare the old timers first, in the old order, with the same domain; add new ones behind them.";
    STATE_CLOCK = 1215, "a state's time to live follows another clock",
        "Elements that expire by event time begin with their time of expiry; others do not. So what is stored could not be told apart.",
        "Keep the clock; how long elements live may change. Or declare a new state under another name and keep the old one, or apply the manifest under a new `name`.";
    CHAIN_SHIFTED = 1216, "a module in a chain declares more than before",
        "Stages that are chained with `key: same` number their outputs, states and timers one behind the other. If a module with others behind it declared more of them, those of the others would move.",
        "Declare in a new version what the old one declared, or put what is new into the last stage of the chain, or apply the manifest under a new `name`.";
}
