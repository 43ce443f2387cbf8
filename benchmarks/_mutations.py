"""Harmless damage to valid files: bytes flipped, cut, zeroed, doubled; values of JSON dropped, made huge, or
of another type.

A mutation is a function of a random generator alone, so a seed repeats it.
"""

from __future__ import annotations

import copy
import gzip
import json
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

Mutation = Callable[[np.random.Generator, bytes], bytes]
WEIRD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        0.5,
        2**31,
        2**63,
        10**20,
        -(10**20),
        1e308,
        float("nan"),
        float("inf"),
    ),
    *("", "1", "a", "\u0000", "\ud800", "x" * 100_000, [], {}, [[]], [0] * 1000, {"": None}),
)
HEAD = 4096


def flip(generator: np.random.Generator, data: bytes) -> bytes:
    """Up to eight bits turned, anywhere, near the beginning or near the end."""
    changed = bytearray(data)
    begin, end = [(0, len(data)), (0, min(HEAD, len(data))), (max(0, len(data) - HEAD), len(data))][
        generator.integers(3)
    ]
    for _ in range(1 + generator.integers(8)):
        changed[generator.integers(begin, end)] ^= 1 << generator.integers(8)
    return bytes(changed)


def cut(generator: np.random.Generator, data: bytes) -> bytes:
    """The end is missing."""
    return data[: generator.integers(len(data))]


def blank(generator: np.random.Generator, data: bytes) -> bytes:
    """A stretch of zeros, or of ones."""
    begin, size = int(generator.integers(len(data))), int(generator.integers(1, 65))
    return (
        data[:begin]
        + generator.choice([b"\0", b"\xff"]) * len(data[begin : begin + size])
        + data[begin + size :]
    )


def double(generator: np.random.Generator, data: bytes) -> bytes:
    """A stretch stands twice."""
    begin, size = int(generator.integers(len(data))), int(generator.integers(1, 1025))
    return data[: begin + size] + data[begin:]


def insert(generator: np.random.Generator, data: bytes) -> bytes:
    """Random bytes in between."""
    begin = int(generator.integers(len(data)))
    return data[:begin] + generator.bytes(int(generator.integers(1, 65))) + data[begin:]


def of_bytes(generator: np.random.Generator, data: bytes) -> bytes:
    """Any of the above."""
    return (flip, cut, blank, double, insert)[generator.integers(5)](generator, data) if data else b"\0"


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """(container, key) of every value below `value`; of a long list only its ends."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    for key in keys[:40] + keys[40:][-5:]:
        found.append((value, key))
        _places(value[key], found)
    return found


def of_values(generator: np.random.Generator, data: bytes) -> bytes:
    """One or two values of a JSON document dropped, renamed or replaced by a weird one."""
    value = json.loads(data)
    for _ in range(1 + generator.integers(2)):
        if not (places := _places(value, [])):
            break
        holder, key = places[generator.integers(len(places))]
        step = generator.integers(4)
        if step == 0:
            del holder[key]
        elif step == 1 and isinstance(holder, dict):
            holder[f"{key}_"] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(WEIRD[generator.integers(len(WEIRD))])
    return json.dumps(value).encode()


def of_json(generator: np.random.Generator, data: bytes) -> bytes:
    """Values or bytes of a JSON document."""
    return (of_values, of_values, of_bytes)[generator.integers(3)](generator, data)


def of_lines(generator: np.random.Generator, data: bytes) -> bytes:
    """Values of one line of JSON lines, or bytes."""
    if generator.integers(2):
        return of_bytes(generator, data)
    lines = data.splitlines()
    number = generator.integers(len(lines))
    lines[number] = of_values(generator, lines[number])
    return b"\n".join(lines) + b"\n"


def of_safetensors(generator: np.random.Generator, data: bytes) -> bytes:
    """Values of the header of safetensors, its length, or bytes."""
    step = generator.integers(3)
    if step == 0:
        return of_bytes(generator, data)
    size = struct.unpack("<Q", data[:8])[0]
    if step == 1:
        return (
            struct.pack("<Q", int(generator.choice([0, 1, size - 1, size + 1, 2**31, 2**63], shuffle=False)))
            + data[8:]
        )
    header = of_values(generator, data[8 : 8 + size])
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def of_numbers(generator: np.random.Generator, data: bytes) -> bytes:
    """One word of a text of settings replaced by another kind of value, or a line lost, or bytes."""
    step = generator.integers(4)
    if step == 0:
        return of_bytes(generator, data)
    lines = data.decode().splitlines()
    number = generator.integers(len(lines))
    if step == 1:
        del lines[number]
    else:
        replaced = str(WEIRD[generator.integers(15)])
        lines[number] = re.sub(r"(?<=: ).*", lambda _: replaced, lines[number], count=1)
    return "\n".join(lines).encode()


def of_header_numbers(generator: np.random.Generator, data: bytes) -> bytes:
    """A number of four or eight bytes near the beginning made huge, or bytes."""
    if generator.integers(2):
        return of_bytes(generator, data)
    at = int(generator.integers(min(HEAD, len(data) - 8)))
    huge = struct.pack("<Q", [2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1, 0][generator.integers(6)])
    return data[:at] + huge + data[at + 8 :]


def inside(
    compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes], mutation: Mutation
) -> Mutation:
    """What is compressed is damaged, or its compression."""

    def mutate(generator: np.random.Generator, data: bytes) -> bytes:
        return (
            compress(mutation(generator, decompress(data)))
            if generator.integers(2)
            else of_bytes(generator, data)
        )

    return mutate


def zstd(data: bytes) -> bytes:
    """Compressed by Zstandard."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def unzstd(data: bytes) -> bytes:
    """The other way round."""
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()


of_gzip_lines = inside(lambda data: gzip.compress(data, mtime=0), gzip.decompress, of_lines)
of_zstd_lines = inside(zstd, unzstd, of_lines)
