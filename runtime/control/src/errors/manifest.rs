//! 10xx: what can be wrong with a manifest by itself.

super::catalogue! {
    MANIFEST_UNREADABLE = 1001, "the manifest cannot be read",
        "The file does not exist, may not be read, is not UTF-8, or is larger than 256 KiB.",
        "Check the path given with `-f`. `-` reads standard input.";
    YAML_SYNTAX = 1002, "the manifest is not YAML",
        "The text breaks a rule of YAML, most often indentation, a tab, a missing colon or an unclosed quote. The place named is where the reader gave up; the mistake may be a line above.",
        "Indent with two spaces, write `field: value`, and quote values that begin with one of `* & ! | > % @ { [` or a back-tick, as in `subject: \"*.orders\"`.";
    UNKNOWN_FIELD = 1003, "unknown field",
        "The manifest has a field that does not exist at this place. Fields that are not understood are refused, because a misspelt one would otherwise be ignored silently.",
        "Use the field the message suggests. `millstream schema` prints the JSON Schema of manifests, which editors can use for completion.";
    MISSING_FIELD = 1004, "missing field",
        "A field that has no default is not there, or is empty.",
        "Add the field. The message shows an example.";
    WRONG_TYPE = 1005, "wrong type",
        "A value is of another type than the field takes, such as a list where a mapping is expected. YAML reads `1.0`, `42` and `true` as numbers and booleans unless they are quoted.",
        "Write the value as the message shows. Quote text that looks like a number: `version: \"1.0\"`.";
    INVALID_NAME = 1006, "invalid name",
        "Names of pipelines, sources, stages and sinks become parts of NATS subjects and stream names. They consist of 1 to 40 lower-case letters, digits and dashes.",
        "Choose a name such as `card-fraud`.";
    INVALID_DURATION = 1007, "invalid duration",
        "A duration is a whole number and one of the units `ms`, `s`, `m`, `h`, `d`, and within the limits of its field.",
        "Write `500ms`, `5s`, `2m` or `1h`. Zero may be written `0s`.";
    OUT_OF_RANGE = 1008, "number out of range",
        "A number is outside the limits of its field.",
        "Use a number within the limits that the message states.";
    UNKNOWN_CHOICE = 1009, "unknown choice",
        "The field takes one of a few words, and this is none of them.",
        "Use one of the words listed in the message.";
    ONE_OF = 1010, "exactly one of several fields is needed",
        "The mapping describes alternatives, such as where a key is found, and has none or several of them.",
        "Keep exactly one of the fields that the message lists.";
    INVALID_SUBJECT = 1011, "invalid subject",
        "NATS subjects are tokens separated by dots, without spaces and empty tokens. A sink's subject has no wildcards; it may hold `{key}` as the record's key.",
        "Write `fraud.scores` or, for the filter of a source, `tx.*.eu` or `tx.>`.";
    INVALID_POINTER = 1012, "invalid JSON pointer",
        "A JSON pointer (RFC 6901) is empty or begins with `/`; `~` appears only as `~0` (for `~`) and `~1` (for `/`).",
        "Write `/account_id`, or `/card/number` for a nested field.";
    INVALID_TIME = 1013, "invalid time",
        "A point in time is written as RFC 3339 with a zone.",
        "Write `2026-01-31T00:00:00Z`.";
    INVALID_MODULE = 1014, "invalid module reference",
        "A module is named by file, by name and version, or by the SHA-256 of its bytes (64 lower-case hexadecimal digits).",
        "Write `module: card-fraud@1.0.0`, `module: { file: ./card-fraud.wasm }` or `module: { sha256: ... }`.";
    DUPLICATE_FIELD = 1015, "duplicate field",
        "A mapping has the same field twice. Which one counts would be a guess.",
        "Remove one of them.";
    EMPTY_SECTION = 1016, "empty section",
        "A pipeline needs at least one source and one stage, and a stage at least one input.",
        "Add one, or remove the pipeline with `millstream delete`.";
    STAGE_WITHOUT_OUTPUT = 1017, "a stage as an input lacks its output",
        "A stage reads an output of another stage, not the stage as such.",
        "Write `STAGE.OUTPUT`, such as `fraud.alert: { key: { pointer: /account_id } }`. `millstream module show` lists a module's outputs.";
    INVALID_HEADER = 1018, "invalid header name",
        "A NATS header's name consists of printable characters without spaces and colons.",
        "Write `header: Event-Time`.";
    INVALID_STORE = 1019, "invalid store",
        "`checkpoints.store` is no URL, or one of a kind that cannot be opened: `file:///` (a folder that every node sees, such as a network file system), `s3://`, `gs://` or `az://`. Credentials and region come from the environment of the node, as the clouds' own tools take them.",
        "Write `checkpoints: { store: file:///mnt/checkpoints }`, or leave it out: checkpoints then go to the JetStream object store.";
}
