"""Checks the function against the contract's test vectors, without WebAssembly.

    componentize-py -d ../../wit/udf-0.1.0 -w udf bindings dist/bindings
    PYTHONPATH=dist/bindings python3 check_vectors.py

The bytes of states and the words of a refusal are free: states of the vectors are written anew in the encoding of
`app.py`, and of a refusal only the index is compared.
"""

import json
import struct
from pathlib import Path

import app
from columns import items, packed
from wit_world.imports import types
from wit_world.types import Err

VECTORS = Path(__file__).resolve().parents[2] / "wit" / "udf-0.1.0" / "vectors"


def read_bytes(value):
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()


def read_blob(value):
    return types.Blob(value["ends"], read_bytes(value["data"]))


def read_column(value):
    ((case, values),) = value["values"].items()
    cases = {
        "blobs": lambda: types.Values_Blobs(read_blob(values)),
        "integers": lambda: types.Values_Integers(values),
        "floats": lambda: types.Values_Floats([float(value) for value in values]),
        "booleans": lambda: types.Values_Booleans(bytes.fromhex(values)),
    }
    return types.Column(bytes.fromhex(value["present"]), cases[case]())


def varint(data):
    """An unsigned integer of the Rust SDK's states, and what is behind it."""
    value = shift = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, data[place + 1 :]
    raise ValueError("a number without end")


def zigzag(data):
    value, rest = varint(data)
    return value >> 1 ^ -(value & 1), rest


def read_profile(data):
    n, rest = zigzag(data[1:])
    total, squares = struct.unpack_from("<dd", rest)
    ts, _ = zigzag(rest[16:])
    return n, total, squares, ts


def read_small(data):
    size, rest = varint(data[1:])
    ts, _ = zigzag(rest[size:])
    return rest[:size], ts


def own_profile(data):
    return app.PROFILE.pack(*read_profile(data))


def own_small(data):
    txn_id, ts = read_small(data)
    return app.SMALL_TS.pack(ts) + txn_id


def read_states(values):
    """Values of both states, in our encoding."""
    read = []
    for value, own in zip(values, [own_profile, own_small]):
        strings = [own(item) if item else b"" for item in items(read_blob(value["items"]))]
        read.append(types.Stored(bytes.fromhex(value["present"]), packed(strings)))
    return read


def judged(columns):
    """A column, as far as it must be the same: values, whether its presence is spelled out or not."""
    return [(column.present.strip(b"\0"), column.values) for column in columns]


def call(name, argument):
    keys, key_of = read_blob(argument["keys"]), argument["key-of"]
    values = read_states(argument["values"])
    seeds, now, epoch = argument["seeds"], argument["processing-time"], argument["broadcast-epoch"]
    guest = app.Guest()
    if name == "on-timer":
        timers, times, watermark = argument["timers"], argument["times"], argument["watermark"]
        return guest.on_timer(types.TimerBatch(keys, key_of, timers, times, values, watermark, seeds, now, epoch))
    columns = [read_column(column) for column in argument["columns"]]
    times = [argument[name] for name in ("event-times", "watermarks", "input-watermarks")]
    return guest.process(types.Batch(argument["input"], keys, key_of, columns, values, *times, seeds, now, epoch))


def check(name, argument, result):
    try:
        effects = call(name, argument)
    except Err as error:
        assert error.value.index == result["err"]["index"], error
        return
    expected = result["ok"]
    for ours, output in zip(effects.emitted, expected["emitted"], strict=True):
        assert ours.causes == output["causes"], (ours.causes, output["causes"])
        columns = [read_column(column) for column in output["columns"]]
        assert judged(ours.columns) == judged(columns), (ours.columns, columns)
    own = [own_profile, own_small]
    for ours, written, own in zip(effects.written, expected["written"], own, strict=True):
        strings = [own(item) if item else b"" for item in items(read_blob(written["items"]))]
        assert dict(zip(ours.keys, items(ours.items))) == dict(zip(written["keys"], strings)), (ours, written)
    changes = expected["timer-changes"]
    assert effects.timer_changes == types.TimerChanges(
        changes["causes"], changes["timers"], changes["times"], bytes.fromhex(changes["present"])
    ), (effects.timer_changes, changes)


def main():
    calls = json.loads((VECTORS / "card-fraud.calls.json").read_text())["calls"]
    for number, vector in enumerate(calls):
        (name,) = vector.keys() & {"process", "on-timer"}
        try:
            check(name, vector[name], vector["result"])
        except Exception as error:
            raise SystemExit(f"vector {number} ({vector['about']}) fails: {error!r}") from error
    print(f"{len(calls)} vectors: all equal")


if __name__ == "__main__":
    main()
