"""card-fraud in Python: the rules of `udfs/card-fraud/README.md`, on the contract of `wit/README.md`.

What can be done to a whole column at once is, and input columns go out again as they came. One loop does the rest.
"""

import gc
from itertools import accumulate
from math import sqrt
from struct import Struct

from columns import (
    ALL,
    floats,
    integers,
    item,
    items,
    no_timer_changes,
    nothing_emitted,
    nothing_written,
    packed,
    packed_equal,
    presence,
    same_text,
    texts,
)
from wit_world import exports
from wit_world.imports.types import (
    Batch,
    Blob,
    Description,
    Effects,
    Emitted,
    Failure,
    FieldSource_Pointer,
    FieldType,
    FieldType_F64,
    FieldType_S64,
    FieldType_Text,
    Input,
    InputField,
    Output,
    OutputField,
    State,
    StateKind,
    Stored,
    TimeDomain,
    Timer,
    TimerBatch,
    TimerChanges,
    Written,
)
from wit_world.types import Err

# Amounts below this are small, above that large.
SMALL_BELOW = 1.00
LARGE_ABOVE = 500.00
# How long a small transaction is remembered, in milliseconds of event time.
SMALL_LIFE_MS = 60_000

# An account's past: number of transactions, sum and sum of squares of their amounts, time of the last.
Profile = tuple[int, float, float, int]
PROFILE = Struct("<qddq")
NEW_ACCOUNT: Profile = (0, 0.0, 0.0, 0)
# The small transaction on record: its id and time. Stored as the time, and behind that the id.
Small = tuple[bytes, int]
SMALL_TS = Struct("<q")
# Of both encodings. Version 1 is what the module in Rust writes: neither can take the other's place.
SCHEMA_VERSION = 2

# The only timer.
SMALL_EXPIRED = 0


def describe_input() -> Input:
    fields = {"txn_id": FieldType_Text(), "amount": FieldType_F64(), "ts": FieldType_S64()}
    return Input(
        "input",
        [InputField(name, FieldSource_Pointer(f"/{name}"), kind, False) for name, kind in fields.items()],
        broadcast=False,
    )


def describe_output(name: str, **fields: FieldType) -> Output:
    fields = {"type": FieldType_Text(), **fields}
    return Output(name, [OutputField(name, kind, False) for name, kind in fields.items()])


def describe_state(name: str) -> State:
    return State(name, StateKind.VALUE, None, TimeDomain.PROCESSING_TIME, SCHEMA_VERSION, [], broadcast=False)


SCORE = describe_output(
    "score",
    txn_id=FieldType_Text(),
    account_id=FieldType_Text(),
    ts=FieldType_S64(),
    n=FieldType_S64(),
    dt=FieldType_S64(),
    score=FieldType_F64(),
)
ALERT = describe_output(
    "alert",
    txn_id=FieldType_Text(),
    account_id=FieldType_Text(),
    ts=FieldType_S64(),
    amount=FieldType_F64(),
    small_txn_id=FieldType_Text(),
    small_ts=FieldType_S64(),
)
EXPIRED = describe_output(
    "expired",
    account_id=FieldType_Text(),
    small_txn_id=FieldType_Text(),
    small_ts=FieldType_S64(),
    timer_ts=FieldType_S64(),
)
DESCRIPTION = Description(
    name="card-fraud",
    version="1.0.0",
    inputs=[describe_input()],
    outputs=[SCORE, ALERT, EXPIRED],
    states=[describe_state("profile"), describe_state("small")],
    timers=[Timer("small_expired", TimeDomain.EVENT_TIME)],
    capabilities=[],
)


# What most calls give of an output. It is made once.
NO_SCORES, NO_ALERTS, NONE_EXPIRED = map(nothing_emitted, DESCRIPTION.outputs)


def account_names(batch: Batch) -> list[bytes]:
    """The keys. Refuses the first record whose key is not text, as `account_id` must be."""
    names = items(batch.keys)
    if not batch.keys.data.isascii():
        for key, name in enumerate(names):
            try:
                name.decode()
            except UnicodeDecodeError as error:
                # Keys are in the order of their first records.
                raise Err(Failure(batch.key_of.index(key), f"the key is not text: {error.reason}")) from None
    return names


def read_profiles(stored: Stored) -> list[Profile]:
    """Every account's past."""
    known = PROFILE.iter_unpack(stored.items.data)
    profiles, start = [], 0
    for end in stored.items.ends:
        # What is absent is empty.
        profiles.append(next(known) if end > start else NEW_ACCOUNT)
        start = end
    return profiles


def write_profiles(profiles: list[Profile]) -> Written:
    """All of them: every account of a batch has a transaction in it."""
    data = b"".join([PROFILE.pack(*profile) for profile in profiles])
    return Written(list(range(len(profiles))), ALL, packed_equal(data, PROFILE.size))


def read_smalls(stored: Stored) -> dict[int, Small]:
    """The small transactions on record, by the accounts' indexes."""
    if not stored.items.data:
        return {}
    values = enumerate(items(stored.items))
    return {key: (value[SMALL_TS.size :], *SMALL_TS.unpack_from(value)) for key, value in values if value}


def write_smalls(changed: set[int], smalls: dict[int, Small]) -> Written:
    """Those of the accounts that changed."""
    keys = sorted(changed)
    values = [b""] * len(keys)
    for place, key in enumerate(keys):
        if key in smalls:
            txn_id, ts = smalls[key]
            values[place] = SMALL_TS.pack(ts) + txn_id
    return Written(keys, presence(key in smalls for key in keys), packed(values))


def alerts(batch: Batch, names: list[bytes], alerted: list[tuple[int, Small]]) -> Emitted:
    """The items of `alert`, from the records that caused them and the small transactions before."""
    txn_ids, amounts, times = (column.values.value for column in batch.columns)
    causes = [cause for cause, _ in alerted]
    return Emitted(
        causes,
        [
            same_text(b"alert", len(causes)),
            texts(packed([item(txn_ids, cause) for cause in causes])),
            texts(packed([names[batch.key_of[cause]] for cause in causes])),
            integers([times[cause] for cause in causes]),
            floats([amounts[cause] for cause in causes]),
            texts(packed([txn_id for _, (txn_id, _) in alerted])),
            integers([ts for _, (_, ts) in alerted]),
        ],
    )


def timer_changes(changes: list[tuple[int, int, bool]]) -> TimerChanges:
    """From the records that caused them, the times of small transactions, and whether it is set or deleted."""
    return TimerChanges(
        [cause for cause, _, _ in changes],
        [SMALL_EXPIRED] * len(changes),
        [ts + SMALL_LIFE_MS for _, ts, _ in changes],
        presence(is_set for _, _, is_set in changes),
    )


class Guest(exports.Guest):
    """What the host calls."""

    def describe(self) -> Description:
        return DESCRIPTION

    def process(self, records: Batch) -> Effects:
        names, key_of = account_names(records), records.key_of
        txn_ids, amounts, times = (column.values.value for column in records.columns)
        profiles, smalls = read_profiles(records.values[0]), read_smalls(records.values[1])
        stored = set(smalls)
        ns, gaps, scores = [], [], []
        alerted, changed, timers = [], set(), []

        for index, (key, amount, ts) in enumerate(zip(key_of, amounts, times)):
            n, total, squares, last_ts = profiles[key]
            score = 0.0
            if n > 1:
                mean = total / n
                variance = squares / n - mean * mean
                if variance > 0.0:
                    score = (amount - mean) / sqrt(variance)
            scores.append(score)
            gaps.append(ts - last_ts if n else -1)
            n += 1
            ns.append(n)
            profiles[key] = (n, total + amount, squares + amount * amount, ts)

            if key in smalls:
                small = smalls.pop(key)
                changed.add(key)
                timers.append((index, small[1], False))
                if amount > LARGE_ABOVE and ts - small[1] <= SMALL_LIFE_MS:
                    alerted.append((index, small))
            if amount < SMALL_BELOW:
                smalls[key] = (item(txn_ids, index), ts)
                changed.add(key)
                timers.append((index, ts, True))

        sizes = [len(name) for name in names]
        account_ids = Blob(
            list(accumulate([sizes[key] for key in key_of])),
            b"".join([names[key] for key in key_of]),
        )
        scored = Emitted(
            list(range(len(key_of))),
            [
                same_text(b"score", len(key_of)),
                texts(txn_ids),
                texts(account_ids),
                integers(times),
                integers(ns),
                integers(gaps),
                floats(scores),
            ],
        )
        return Effects(
            [scored, alerts(records, names, alerted) if alerted else NO_ALERTS, NONE_EXPIRED],
            # One that came and went within the batch is no change.
            [write_profiles(profiles), write_smalls(changed & (stored | smalls.keys()), smalls)],
            timer_changes(timers),
        )

    def on_timer(self, timers: TimerBatch) -> Effects:
        names, smalls = items(timers.keys), read_smalls(timers.values[1])
        causes, keys, expired, fired = [], [], [], []
        for index, (key, time) in enumerate(zip(timers.key_of, timers.times)):
            if key in smalls:
                causes.append(index)
                keys.append(key)
                expired.append(smalls.pop(key))
                fired.append(time)
        gone = Emitted(
            causes,
            [
                same_text(b"expired", len(causes)),
                texts(packed([names[key] for key in keys])),
                texts(packed([txn_id for txn_id, _ in expired])),
                integers([ts for _, ts in expired]),
                integers(fired),
            ],
        )
        return Effects(
            [NO_SCORES, NO_ALERTS, gone],
            [nothing_written(), write_smalls(set(keys), smalls)],
            no_timer_changes(),
        )


# Reference counts free all that a call leaves: nothing here refers to itself. A search for cycles would come in whichever
# call happens to be the one, a single timer's too, and take more fuel than a record may.
gc.disable()
