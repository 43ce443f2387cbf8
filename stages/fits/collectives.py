"""What a compiled program exchanges between devices, read from its text: the collectives of XLA's optimised
HLO.

A collective in a loop counts as often as the loop runs. How often that is stands beside the loop (GPU), or
follows from the constant that its condition compares with (TPU); a loop of which neither is known counts
once.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import NamedTuple

KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)
BITS = {"pred": 8, "s4": 4, "u4": 4, "bf16": 16, "c64": 64, "c128": 128}
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
CALLED = re.compile(r"\b(?:calls|body|true_computation|false_computation)=%?([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
ROUNDS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
BOUND = re.compile(r" = s32\[\]\S* constant\((\d+)\)")


class Collective(NamedTuple):
    """One collective of a step: its kind, the arrays that it leaves on a device, and how often it runs."""

    kind: str
    arrays: tuple[str, ...]
    times: int

    @property
    def size(self) -> int:
        """Bytes of its result on one device, all times together."""
        return self.times * sum(map(_bytes, self.arrays))


def collectives(text: str) -> list[Collective]:
    """Those of a program, in the order of its text."""
    bodies = _computations(text)
    times = _times(bodies)
    found = []
    for name, lines in bodies.items():
        for line in lines:
            if match := COLLECTIVE.search(line):
                found.append(Collective(match[2], _results(match[1], match[2], bool(match[3])), times[name]))
    return [collective for collective in found if collective.times]


def by_kind(found: list[Collective]) -> dict[str, dict[str, int]]:
    """Kind -> how many run in a step, and the bytes of their results on one device."""
    kinds: dict[str, dict[str, int]] = {}
    for collective in sorted(found):
        total = kinds.setdefault(collective.kind, {"count": 0, "bytes": 0})
        total["count"] += collective.times
        total["bytes"] += collective.size
    return kinds


def normalised(found: list[Collective]) -> list[str]:
    """The same without names, numbers and order, which change with every release of the compiler:
    `2 x all-reduce f32[64,64]`.
    """
    counts: Counter[str] = Counter()
    for collective in found:
        counts[f"{collective.kind} {' '.join(sorted(collective.arrays))}"] += collective.times
    return [f"{count} x {what}" for what, count in sorted(counts.items())]


def _computations(text: str) -> dict[str, list[str]]:
    """Name -> instructions; the one that the program begins with is called ENTRY."""
    bodies: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if match := COMPUTATION.match(line):
            lines = bodies.setdefault("ENTRY" if match[1] else match[2], [])
        elif line.startswith("  "):
            lines.append(line)
    return bodies


def _times(bodies: dict[str, list[str]]) -> dict[str, int]:
    """How often each computation runs in one step. Callers stand behind what they call, as XLA
    prints them.
    """
    times: dict[str, int] = defaultdict(int, {"ENTRY": 1})
    for name in reversed(bodies):
        for line in bodies[name] if times[name] else ():
            if "-done(" in line or "-update(" in line:  # they name again what was started
                continue
            branches = BRANCHES.search(line)
            for called in [
                *CALLED.findall(line),
                *(re.findall(r"[\w.\-]+", branches[1]) if branches else ()),
            ]:
                times[called] += times[name] * (_rounds(line, bodies) if " while(" in line else 1)
    return times


def _rounds(loop: str, bodies: dict[str, list[str]]) -> int:
    if match := ROUNDS.search(loop):
        return int(match[1])
    condition = CONDITION.search(loop)
    bounds = {
        bound for line in (bodies.get(condition[1], ()) if condition else ()) for bound in BOUND.findall(line)
    }
    return int(bounds.pop()) if len(bounds) == 1 else 1


def _results(shape: str, kind: str, started: bool) -> tuple[str, ...]:
    """The arrays that a collective leaves. What is started in the background also names its operands, before
    them, and its counters.
    """
    arrays = [
        f"{dtype}[{sizes}]" for dtype, sizes in ARRAY.findall(re.sub(r"\{[^}]*\}|/\*.*?\*/", "", shape))
    ]
    if started and kind != "all-reduce":
        arrays = [array for array in arrays if array != "u32[]"]
        arrays = arrays[len(arrays) // 2 :]
    return tuple(arrays)


def _bytes(array: str) -> int:
    match = ARRAY.match(array)
    assert match
    bits = BITS.get(match[1]) or int(re.sub(r"^[a-z]+(\d+).*", r"\1", match[1]))
    return math.prod(int(size) for size in match[2].split(",") if size) * bits // 8
