"""Columns of the contract, made and read as wholes: a Python object per record is what costs."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from wit_world.imports.types import (
    Blob,
    Column,
    Emitted,
    FieldType_F64,
    FieldType_Text,
    Output,
    TimerChanges,
    Values_Blobs,
    Values_Floats,
    Values_Integers,
    Written,
)

# What `present` is when every item is.
ALL = b""


def items(blob: Blob) -> list[bytes]:
    """The byte strings of a blob."""
    data, ends = blob.data, blob.ends
    return [data[start:end] for start, end in zip([0, *ends], ends)]


def item(blob: Blob, index: int) -> bytes:
    """One byte string of a blob."""
    start = blob.ends[index - 1] if index else 0
    return blob.data[start : blob.ends[index]]


def packed(strings: Sequence[bytes]) -> Blob:
    """A blob of byte strings."""
    return Blob(list(accumulate(map(len, strings))), b"".join(strings))


def packed_equal(data: bytes, size: int) -> Blob:
    """A blob of byte strings of equal size, one behind the other in `data`."""
    return Blob(list(range(size, len(data) + 1, size)), data)


def presence(flags: Iterable[bool]) -> bytes:
    """One bit per item, that of the first in the lowest bit of the first byte."""
    flags = list(flags)
    bits = sum(1 << index for index, flag in enumerate(flags) if flag)
    return bits.to_bytes((len(flags) + 7) // 8, "little")


def texts(blob: Blob) -> Column:
    """A column of text."""
    return Column(ALL, Values_Blobs(blob))


def same_text(text: bytes, count: int) -> Column:
    """A column of text that is the same for every item."""
    return texts(packed_equal(text * count, len(text)))


def integers(values: list[int]) -> Column:
    """A column of integers."""
    return Column(ALL, Values_Integers(values))


def floats(values: list[float]) -> Column:
    """A column of doubles."""
    return Column(ALL, Values_Floats(values))


def nothing_emitted(output: Output) -> Emitted:
    """No item for an output of texts, integers and doubles."""
    columns = []
    for field in output.fields:
        match field.kind:
            case FieldType_Text():
                columns.append(texts(packed([])))
            case FieldType_F64():
                columns.append(floats([]))
            case _:
                columns.append(integers([]))
    return Emitted([], columns)


def nothing_written() -> Written:
    """No change of a state."""
    return Written([], ALL, packed([]))


def no_timer_changes() -> TimerChanges:
    """No change of timers."""
    return TimerChanges([], [], [], ALL)
