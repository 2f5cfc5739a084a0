//! 11xx: what can be wrong between the sections of a manifest and with its modules.

super::catalogue! {
    UNKNOWN_SOURCE = 1101, "unknown source",
        "A stage names an input that is not declared under `sources`.",
        "Declare the source, or correct the name.";
    UNKNOWN_SINK = 1102, "unknown sink",
        "An output of a stage goes to a sink that is not declared under `sinks`.",
        "Declare the sink, or correct the name.";
    UNKNOWN_OUTPUT = 1103, "unknown output",
        "The manifest routes an output that the module does not declare.",
        "Use one of the module's outputs; `millstream module show` lists them.";
    UNKNOWN_INPUT = 1104, "unknown input",
        "`as` names an input that the module does not declare.",
        "Use one of the module's inputs; `millstream module show` lists them.";
    INPUT_NOT_FED = 1105, "an input is not fed",
        "The module declares an input, and no source of the stage is connected to it.",
        "Add a source under the stage's `inputs` with `as: <declared input>`.";
    INPUT_AMBIGUOUS = 1107, "it is not clear which input is meant",
        "The module declares several inputs, and the source has no `as` and not the name of one of them.",
        "Add `as: <declared input>`.";
    CONFIG_NOT_WANTED = 1108, "the module takes no configuration",
        "The manifest has a `config` for a module that does not ask for the capability `config`, so that it would be ignored.",
        "Remove `config`, or use a version of the module that reads it.";
    OUTPUTS_DROPPED = 1109, "a stage has no outputs",
        "The module declares outputs, and the manifest routes none of them: everything the stage emits would be dropped.",
        "Route at least one of the module's outputs to a sink.";
    MODULE_NOT_FOUND = 1110, "module not found",
        "The registry has no module with this name and version, or with this digest.",
        "Push it with `millstream module push FILE`, or name the file: `module: { file: ... }`. `millstream module ls` lists what there is.";
    MODULE_FILE = 1111, "the module's file cannot be read",
        "The file that the manifest names does not exist or may not be read. The path is relative to the manifest's folder.",
        "Build the module, or correct the path.";
    MODULE_REFUSED = 1112, "the module was refused",
        "The file is not a component, does not export the `udf` world, imports something that is not granted, is too large, or describes itself with an error.",
        "Build it with the Millstream SDK for `wasm32-wasip2`. The message says what was found.";
    MODULE_NOT_UPLOADED = 1113, "a module named by file was not uploaded",
        "The node sees no files of the client, and the request does not say which uploaded module is meant.",
        "Use `millstream apply`, which uploads the files that a manifest names, or push the module and name it by name and version.";
    KEY_NOT_IN_SUBJECT = 1114, "the key's subject token does not exist",
        "The source's subject filter has fewer tokens than `subject-token` asks for.",
        "Count the tokens from 1: in `tx.eu.42` token 3 is `42`.";
    COMPILE_LIMIT = 1115, "compiling the module takes too much",
        "A node compiles every module in a process of its own, with limits on memory and time. This one exceeded them, or brought the compiler down.",
        "Make the module smaller: build with `--release`, drop dependencies, split functions of tens of thousands of lines.";
    UNKNOWN_STAGE = 1116, "unknown stage",
        "An input is written `STAGE.OUTPUT`, and there is no such stage.",
        "Correct the stage's name.";
    STAGES_IN_A_CIRCLE = 1117, "stages feed themselves",
        "A stage reads its own output, directly or through other stages.",
        "Remove one of the inputs that the message lists. A loop can be closed through a sink and a stream that a source reads.";
    KEY_OF_OUTPUT = 1118, "an output of a stage has no headers and no subject",
        "The key of an input that is another stage's output is taken from a header or a subject token, and there are none.",
        "Take the key from the payload: `key: { pointer: /account_id }`.";
    NOT_CHAINED = 1119, "a stage cannot be chained behind another",
        "`key: same` chains a stage behind the one whose output it reads: it runs in that stage's partitions, with the same keys, and a record and all that follows from it are committed together. So it reads nothing else, has no broadcast input, and shares partitions and `on-error` with that stage.",
        "Leave out what differs, or write where the key is (`key: { pointer: /id }`): the output then goes through the log to partitions of the stage's own.";
    START_NOT_IN_STREAM = 1120, "a source cannot start there",
        "`start` is looked up in the stream once, when the pipeline is created. The sequence is below the stream's first (those records are gone: a gap) or beyond the one that comes next, or the time has not come yet.",
        "Use a sequence that the stream holds (`nats stream info` shows the first and the last), a time that has passed, `beginning` or `new`.";
    START_UNKNOWN = 1121, "where a source starts cannot be looked up",
        "A `start` other than `beginning` is looked up in the stream when the pipeline is created. The stream does not exist, or cannot be read.",
        "Create the stream before the pipeline, or correct its name. `nats stream ls` lists streams.";
    START_OF_QUEUE = 1122, "a queue has no place to start at",
        "Records of a stream with retention `workqueue` or `interest` vanish once they are processed. What it holds is what is left to read.",
        "Leave `start` out.";
    SOURCE_TAKEN = 1123, "another consumer takes the same records",
        "Each record of a stream with retention `workqueue` goes to one consumer only, and the server refuses consumers whose filters overlap.",
        "Give each consumer its own `subject`, remove the other one (`nats consumer rm`), or let several stages of one pipeline read one source.";
}
