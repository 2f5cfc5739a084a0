//! 15xx: the command line, and the machine it runs on.

super::catalogue! {
    USAGE = 1501, "the command line is wrong",
        "An option or argument is missing, contradicts another one, or has a value that it does not take.",
        "`millstream COMMAND --help` says what the command takes.";
    FILE = 1502, "a file or folder cannot be used",
        "It does not exist, may not be read or written, or the disk is full. The message names it, and the operating system's reason.",
        "Correct the path or the rights.";
    OUTPUT = 1503, "the output cannot be written",
        "Standard output was closed, its disk is full, or the answer cannot be put into the format.",
        "Look where the output goes; try another format with `-o`.";
    CONTEXT_UNKNOWN = 1504, "no such context",
        "There is no context of this name for the `nats` CLI.",
        "`nats context ls` lists contexts. `--server URL` needs none.";
    SETTINGS = 1505, "the settings of the connection are wrong",
        "A context of the `nats` CLI, a server's URL or a credentials file is not what it has to be.",
        "The message says what was found. `--server nats://HOST:PORT` connects without a context.";
    NOT_PERMITTED = 1506, "not permitted",
        "The NATS server refuses the credentials, or they do not allow what was asked.",
        "Name the right ones with `--creds FILE` or with a context of the `nats` CLI.";
    SERVER_TOO_OLD = 1507, "the NATS server is too old",
        "The server lacks something that Millstream needs.",
        "Upgrade nats-server. `millstream dev` brings the version it needs.";
    ADDRESS = 1508, "the address cannot be listened on",
        "Another process listens there, or this machine does not have the address.",
        "Choose another one with `--http ADDR:PORT`; port 0 takes a free one.";
    NOT_IN_TIME = 1509, "not in time",
        "What the command waits for did not happen within `--timeout`. It may still happen.",
        "Look again, or repeat the command with a larger `--timeout`.";
    NO_STREAM = 1510, "no stream captures the subject",
        "The subject belongs to no JetStream stream of the account, so that what is published there would be lost.",
        "Create a stream: `nats stream add --subjects SUBJECT`.";
    SERVER_NOT_STARTED = 1511, "the private nats-server does not start",
        "`millstream dev` starts a nats-server of its own. The program is missing, or it ended; its last words are in the message.",
        "If the port is taken, choose another one with `--port`; `cargo xtask setup` fetches a server.";
    NOT_LOCAL = 1512, "the pipeline cannot run locally",
        "A local run has no registry. The manifest takes a module from the registry, or its module does not start.",
        "Name modules by file, and see what the message says.";
    STOPPED_AT_RECORD = 1513, "the run stopped at a record",
        "A record failed, and its stage says `on-error: stop`.",
        "Correct the record or the module, or set the record aside with `on-error: dead-letter`.";
    LOCAL_RUN = 1514, "the local run failed",
        "A file or the state could not be read or written, or the module's host failed.",
        "The message says which.";
    CODE_UNKNOWN = 1515, "no such code",
        "The text is none of the catalogue's codes.",
        "`millstream explain` lists all codes.";
    FOLDER_EXISTS = 1516, "the folder exists",
        "A new project gets a folder of its own; nothing is overwritten.",
        "Choose another name, or remove the folder first.";
    NO_SDK = 1517, "the SDK is not found",
        "The SDK is not published as a crate; a new project refers to the folder `udf-sdk` of the Millstream sources.",
        "Get the sources, and name that folder with `--sdk FOLDER`.";
    NOT_CONFIRMED = 1518, "not confirmed",
        "The command asked, and the answer was no.",
        "Repeat it and type the name, or add `--yes`.";
    SYSTEM = 1519, "the operating system refused",
        "Something that a process normally gets was refused: a thread, a signal handler, memory.",
        "The message has the system's reason; look at the limits of the user (`ulimit -a`).";
    NOT_BUILT = 1520, "the module does not build",
        "`cargo build` failed in the manifest's folder: the code has a mistake, or a dependency cannot be had. What cargo and the compiler said \
         stands above the message.",
        "Correct what the compiler names. `cargo test` finds most mistakes sooner.";
    NO_TOOLCHAIN = 1521, "Rust or its target is missing",
        "Modules are WebAssembly components: cargo builds them for the target `wasm32-wasip2`, which is installed once per toolchain.",
        "Install Rust from https://rustup.rs, and then `rustup target add wasm32-wasip2`.";
    NO_CASE = 1522, "no test case",
        "A test case is a folder below `tests` beside the manifest that holds the input. There is none, or none has the name that was given.",
        "Make one: `tests/NAME/input.ndjson`; then `millstream test --update` writes what is expected.";
    CASE_FILES = 1523, "a test case has the wrong files",
        "A case holds the input of each source, `SOURCE.ndjson` (`input.ndjson` if there is only one), beside `expected.ndjson` and \
         `dead-letters.ndjson`. One is missing, or there is another one that nothing reads.",
        "Add or rename the file that the message names. A source without records has an empty file.";
    CASES_FAILED = 1524, "test cases failed",
        "What came of the input is not what `expected.ndjson` and `dead-letters.ndjson` say, or the run failed.",
        "The differences are shown above: `-` is expected, `+` came. If what came is right, `millstream test --update` takes it over.";
}
