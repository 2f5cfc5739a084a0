//! 16xx: who may do what, and the audit trail.

super::catalogue! {
    UNSIGNED = 1601, "the request is not signed",
        "In this cluster somebody has been granted something. Since then, the runtime answers signed requests only, and this one was not signed.",
        "Name the file that holds your nkey's seed: `--nkey FILE`, or use a context of the `nats` CLI with `nkey` or `creds`. An operator grants roles to its public key with `millstream access grant`.";
    NOT_ALLOWED = 1602, "not allowed",
        "The key that signed the request is not granted a role that may do this, or only for other pipelines. The message says which.",
        "`millstream whoami` shows what is granted to you, `millstream can-i OPERATION` whether something is allowed. An operator grants roles.";
    SIGNATURE_INVALID = 1603, "the signature does not hold",
        "The request was changed after it was signed, signed by another key than it says, or its headers are malformed.",
        "Repeat the command. If it happens again, something between the command and the runtime changes requests.";
    SIGNATURE_STALE = 1604, "the signature is too old or too new",
        "A signed request is taken within a minute of the time at which it was signed, by the node's clock. Clocks differ, or the request was held up.",
        "Set both clocks by NTP, and repeat the command.";
    REPLAYED = 1605, "the request was made before",
        "Every signed request has a nonce, and is taken once.",
        "Repeat the command, which signs a new request. If nobody made the request twice, find out who can read your requests.";
    SIGNED_FOR_ANOTHER = 1606, "the request is signed for another node or cluster",
        "A request is signed for the cluster and for the node that answers. Another node answers now, or the request was made for another cluster.",
        "Repeat the command: it asks who answers and signs for that one. The CLI does so by itself a few times.";
    CLUSTER_UNEXPECTED = 1607, "another cluster answers than before",
        "The CLI remembers which cluster answered to this key at this server, and does not sign for another: what is signed for one could be used there by the other.",
        "If the cluster was made anew, remove its line from the file that the message names. Otherwise do not go on: somebody else answers.";
    GRANT_INVALID = 1608, "this cannot be granted",
        "The key is no user's public nkey, the name is empty, too long or another key's, there is no role, or a pipeline's name cannot exist.",
        "The message says which. `nk -gen user -pubout` or `nsc add user` makes a key; its public half begins with `U`.";
    NO_OPERATOR_LEFT = 1609, "nobody would be left who may grant",
        "Somebody must have the role operator for all pipelines, or nobody could ever change again what is granted.",
        "Grant the role operator to somebody first: `millstream access grant KEY --name NAME --role operator`.";
    GRANTS_CHANGED = 1610, "what is granted was changed meanwhile",
        "Somebody else changed it between reading and writing.",
        "Look at it with `millstream access ls` and repeat the command.";
    USER_UNKNOWN = 1611, "there is no such user",
        "Nothing is granted to this key or name.",
        "`millstream access ls` lists users with their keys.";
    OPERATION_UNKNOWN = 1612, "there is no such operation",
        "The text is none of the API's operations.",
        "Operations are written as in `pipeline.apply`; the message lists those that are spelt alike.";
    SEED_UNUSABLE = 1613, "the key cannot be used",
        "The file holds no seed of a user's nkey, which begins with `SU`.",
        "Name a file with the seed of a user's nkey (`nk -gen user`), or a `.creds` file.";
    TRAIL_UNAVAILABLE = 1614, "the audit trail cannot be used",
        "What changes something is written into the audit trail first. Its stream did not take the entry, is missing, or could lose entries. Nothing was changed.",
        "`nats stream info millstream-audit` shows the stream. Make room for it, bring its servers back, and repeat the command. If entries are gone that were there, find out who removed them; then remove the key `trail` of the bucket `millstream-access` and start the nodes again, to begin a new trail on purpose.";
    OUTCOME_NOT_WRITTEN = 1615, "the outcome is not in the audit trail",
        "The change was made or refused, as the message says, and then the audit trail could not be written.",
        "Look at what the command was about. The trail shows a request without an outcome, which stands for this.";
    NO_ENTRIES = 1616, "the audit trail has no such entries",
        "There is nothing behind the entry that was named.",
        "`millstream audit ls` shows the newest entries.";
    NO_APPROVER = 1631, "nobody could consent",
        "Where changes need consent, somebody must be an approver, or nothing could be changed any more.",
        "Grant the role approver to somebody first, or `millstream access consent off`.";
    CHANGE_UNKNOWN = 1632, "there is no such proposed change",
        "It was never proposed, or was approved or rejected meanwhile.",
        "`millstream change ls` lists the changes that wait for consent.";
    OWN_CHANGE = 1633, "nobody consents to a change of one's own",
        "The key that consents is the one that proposed the change. Consent is worth something only from somebody else.",
        "Ask another approver; `millstream access ls` lists them.";
    CHANGE_STALE = 1634, "the change is not the one that was proposed",
        "What it means has changed since it was proposed: the name of a module stands for other bytes.",
        "Reject it, and have it proposed anew with `millstream apply`.";
}
