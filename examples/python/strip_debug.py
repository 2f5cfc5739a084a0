"""Leaves out what only a debugger reads: `strip_debug.py FILE`. The interpreter's debug information is half of a component.

Function names stay, so that a backtrace has them.
"""

import sys
from pathlib import Path

PREAMBLE = 8
CUSTOM = 0
# Sections of a component that hold a module or a component.
NESTED = {1, 4}


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128 and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def written_size(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def stripped(data: bytes) -> bytes:
    """A module or component without the debug sections in it."""
    is_component = data[6] == 1
    parts, at = [data[:PREAMBLE]], PREAMBLE
    while at < len(data):
        kind = data[at]
        size, start = read_size(data, at + 1)
        content, at = data[start : start + size], start + size
        if kind == CUSTOM:
            length, name = read_size(content, 0)
            if content[name : name + length].startswith(b".debug_"):
                continue
        elif is_component and kind in NESTED:
            content = stripped(content)
        parts += [bytes([kind]), written_size(len(content)), content]
    return b"".join(parts)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_bytes(stripped(path.read_bytes()))
