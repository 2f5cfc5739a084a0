//! 14xx: reaching a node, and what it stands on.

super::catalogue! {
    NO_NODE = 1401, "no runtime answers",
        "The NATS server answers, but no Millstream runtime is connected to it in this account, or it is just taking over from another one (up to 15 seconds).",
        "Start one with `millstream run` or `millstream dev`. Check that the CLI uses the same server and account: `--server`, `--context`.";
    NO_ANSWER = 1402, "no answer in time",
        "The runtime took the request and did not answer before the time-out. A change may or may not have been made.",
        "Look at the result (`millstream get`), and repeat the command with a larger `--timeout`.";
    NO_NATS = 1403, "the NATS server cannot be reached",
        "No connection to the server could be made or it was lost: wrong address, wrong credentials, or the server is down.",
        "Check `--server` or the context, and the server itself with `millstream doctor`.";
    BAD_REQUEST = 1404, "the request was not understood",
        "The request is not the JSON that the operation takes, or its name is not one the node knows. Client and node may be of different versions.",
        "Compare `millstream --version` with `millstream info`, and update the older one.";
    BAD_RESPONSE = 1405, "the response was not understood",
        "The answer is not what this version of the client expects.",
        "Compare `millstream --version` with `millstream info`, and update the older one.";
    STORAGE = 1406, "the JetStream storage failed",
        "A key-value bucket or object store of the account refused or did not answer. JetStream may be off, out of space, or without a leader.",
        "Run `millstream doctor`.";
    NOT_STARTED = 1407, "the pipeline could not be started",
        "The worker refused the pipeline: a stream it reads or writes is missing, or a limit is reached. The node tries again with growing pauses.",
        "The message says what is missing. Create it, and the pipeline starts by itself.";
    DAMAGED_RECORD = 1408, "a stored entry cannot be read",
        "An entry of a key-value bucket is not what this version writes: it was edited by hand, or a newer version wrote it.",
        "Update the runtime, or repair the entry that the message names with `nats kv`.";
    FOLDER_IN_USE = 1409, "the data folder is in use",
        "Another process of this machine runs on the same data folder. A folder belongs to one node, whose state and identity it holds.",
        "End that process, or name another folder with `--data`.";
    FOLDER_UNUSABLE = 1410, "the data folder cannot be used",
        "The folder for keyed state cannot be made, read or written.",
        "Name a folder that this user may write with `--data`.";
    NODE_UNKNOWN = 1411, "there is no such node",
        "No node of this name or identity is in the cluster now, or several nodes have the name.",
        "List them with `millstream node ls`; use the identity where names are not unique.";
}
