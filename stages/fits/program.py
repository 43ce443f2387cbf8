"""A training step as the compiler left it for one target, and what follows: whether it fits, and how many
sequences would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
TEMPORARIES = re.compile(r"HLO temporaries \(([\d.]+)([KMGT]?)\) exceeds")
USED = re.compile(r"Used ([\d.]+)([KMGT]?) of [\d.]+[KMGT]? hbm")


@dataclass(frozen=True)
class Program:
    """What is known of a step that was compiled for `devices` devices, of which `mesh` (data, sequence) are
    in use. The state is on every device, or cut over `data` if `split_state`.

    All bytes are those of one device. `state_bytes` are parameters, optimizer state and what is carried,
    `peak_bytes` all that is alive at the worst moment, the state included, `code_bytes` the program itself.
    Both are 0 where the compiler `refused`, which is its own words. `matrix_flops` are the operations of all
    matrix products of the whole step as it was traced, loops as often as they run; `compiler_flops` what the
    compiler counts for one device, loops once, None where it does not say. `collectives` are by kind,
    `exchanged` is their normalised text. `effort` is what JAX_EXEC_TIME_OPTIMIZATION_EFFORT asked of the
    compiler: -1 is the least, 0 that of training.
    """

    devices: int
    device_kind: str
    mesh: tuple[int, int]
    split_state: bool
    state_bytes: int
    matrix_flops: float
    peak_bytes: int = 0
    code_bytes: int = 0
    compiler_flops: float | None = None
    refused: str = ""
    collectives: dict[str, dict[str, int]] = field(default_factory=dict)
    exchanged: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    effort: float = 0.0

    @classmethod
    def of(cls, facts: dict) -> Program:
        """From what the compiling process wrote as JSON."""
        return cls(**{**facts, "mesh": tuple(facts["mesh"])})


@dataclass(frozen=True)
class Verdict:
    """Whether a step fits, and the bytes of a device that it needs, None where the compiler does not say.
    `rows` is how large the batch may be at least, by arithmetic: all but state and code is taken to grow with
    the batch; None where the bytes are not known.
    """

    fits: bool
    needed_bytes: int | None
    rows: int | None


def verdict(program: Program, memory_bytes: int, rows: int, parts: int = 1) -> Verdict:
    """Whether a step of `rows` sequences, computed in `parts`, fits devices of so much memory.

    What the compiler of a TPU refuses does not fit; that of a GPU refuses nothing for its size.
    """
    needed = _refused_bytes(program) if program.refused else program.peak_bytes + program.code_bytes
    if needed is None:
        return Verdict(False, None, None)
    stays, group = program.state_bytes + program.code_bytes, program.mesh[0] * parts
    groups = max(0, memory_bytes - stays) * rows // max(1, needed - stays) // group
    return Verdict(not program.refused and needed <= memory_bytes, needed, groups * group)


def _refused_bytes(program: Program) -> int | None:
    """What a refused program would need, by the words of the refusal."""
    if match := TEMPORARIES.search(program.refused):
        return program.state_bytes + _read(match)
    return _read(match) if (match := USED.search(program.refused)) else None


def _read(match: re.Match[str]) -> int:
    return round(float(match[1]) * SIZES[match[2]])
