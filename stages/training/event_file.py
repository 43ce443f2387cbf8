"""Scalars as TensorBoard reads them: records in TensorFlow's framing, each an `Event` in protobuf's wire
format.

The nine fields that scalars need are written here by hand, instead of a dependency on TensorBoard or a second
writer of its own threads.
"""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Mapping
from pathlib import Path

import google_crc32c

# TensorBoard then forgets what an earlier, interrupted session wrote of this step and later ones
START_OF_SESSION = 1
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5


class EventFile:
    """A new event file in `directory` for a session that begins with step `first`; a run that begins anew
    drops what is there.
    """

    def __init__(self, directory: Path, first: int):
        if not first:
            shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        self._file = open(directory / f"events.out.tfevents.{time.time_ns()}", "wb")  # noqa: SIM115
        self._write(0, _bytes(3, b"brain.Event:2"))
        self._write(first, _bytes(7, _varint(1, START_OF_SESSION)))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of one step."""
        summary = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + _key(2, FIXED_32) + struct.pack("<f", value))
            for tag, value in values.items()
        )
        self._write(step, _bytes(5, summary))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, step: int, what: bytes) -> None:
        event = _key(1, FIXED_64) + struct.pack("<d", time.time()) + _varint(2, step) + what
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked_crc(length) + event + _masked_crc(event))
        self._file.flush()


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _number(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _number(rest) if rest else bytes([low])


def _key(field: int, kind: int) -> bytes:
    return _number(field << 3 | kind)


def _varint(field: int, value: int) -> bytes:
    return _key(field, VARINT) + _number(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, BYTES) + _number(len(value)) + value
