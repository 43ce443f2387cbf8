"""Accelerators by the names that `rpt plan training --on` takes: how their topologies are written, and the
memory of a device.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from data_contracts.failure import Exit, Failure

Platform = Literal["tpu", "cuda"]
GIB = 2**30
CARDS_A_HOST = 8  # of an HGX board: the largest group of cards that is described to the compiler


@dataclass(frozen=True)
class Chip:
    """A kind of accelerator. `memory_gib` is what one JAX device offers a program, `source` says who says so,
    `axes` is how many numbers its topologies have, and `examples` are some that the compiler takes. A chip
    with `megacore` is one device in spite of its two cores.
    """

    name: str
    platform: Platform
    memory_gib: float
    source: str
    axes: int
    examples: tuple[str, ...]
    megacore: bool = False

    @property
    def memory_bytes(self) -> int:
        """The memory of a device."""
        return round(self.memory_gib * GIB)


LIBTPU = "the limit in the error of libtpu 0.0.42.1 for a program that is too large"
XLA_CARD = "three quarters, JAX's default share, of the card in XLA's target_config/specs"
# TPUs: measured on 2026-11-29 with a product of 262,144 x 262,144; vendors print 32, 16, 95, 32 and 2 x 96
# GiB (cloud.google.com/tpu/docs). Cards: device_memory_size of openxla/xla, h100_sxm.txtpb (84,942,979,072
# bytes) and h200.txtpb (151,397,597,184).
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "tpu", 30.75, LIBTPU, 3, ("2x2x1", "2x2x4", "2x4x4", "4x4x4"), megacore=True),
        Chip("v5e", "tpu", 15.75, LIBTPU, 2, ("1x1", "2x2", "2x4", "4x4")),
        Chip("v5p", "tpu", 95.74, LIBTPU, 3, ("2x2x1", "2x2x2", "2x4x4"), megacore=True),
        Chip("v6e", "tpu", 31.25, LIBTPU, 2, ("1x1", "2x2", "2x4", "4x4")),
        Chip("tpu7x", "tpu", 94.75, LIBTPU, 3, ("1x1x1", "2x2x1", "2x2x2")),
        Chip("h100", "cuda", 0.75 * 84_942_979_072 / GIB, XLA_CARD, 1, ("1", "8")),
        Chip("h200", "cuda", 0.75 * 151_397_597_184 / GIB, XLA_CARD, 1, ("1", "8")),
    )
}


@dataclass(frozen=True)
class Target:
    """Chips of one kind, side by side as `layout` says: (2, 4, 4) are 32."""

    chip: Chip
    layout: tuple[int, ...]

    @property
    def name(self) -> str:
        """As a person writes it: `v4:2x4x4`."""
        return f"{self.chip.name}:{'x'.join(map(str, self.layout))}"

    @property
    def chips(self) -> int:
        """How many there are."""
        return math.prod(self.layout)

    def topology(self) -> dict[str, object]:
        """What `jax.experimental.topologies.get_topology_desc` is asked for, beside the description of a
        card.
        """
        if self.chip.platform == "cuda":
            return {"platform": "cuda", "topology": f"1x1x{self.layout[0]}"}
        hosts = {"chips_per_host_bounds": [1, 1, 1]} if self.chips == 1 else {}
        cores = {"chip_config_name": "megacore"} if self.chip.megacore else {}
        return {"platform": "tpu", "topology_name": self.name, **hosts, **cores}


def read_target(text: str) -> Target:
    """The target that `text` names, such as `v5e:2x2` or `h200:8`.

    Raises:
        Failure: (exit code 2) if the chip is unknown or its layout is not written so; it names what is known.
    """
    name, _, layout = text.partition(":")
    chip = CHIPS.get(name)
    if chip is None:
        known = ", ".join(f"{chip.name}:{chip.examples[-1]}" for chip in CHIPS.values())
        raise Failure(
            f"--on {text}",
            f"{name!r} is not a chip that is known",
            f"one of {known}, or another layout of these",
            Exit.USAGE,
        )
    numbers = (
        [int(number) for number in layout.split("x")]
        if re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})*", layout)
        else []
    )
    remedy = f"for instance {', '.join(f'{name}:{example}' for example in chip.examples)}"
    if len(numbers) != chip.axes:
        wanted = (
            "a number of cards"
            if chip.axes == 1
            else f"{chip.axes} numbers with an x between, chips along each axis"
        )
        raise Failure(
            f"--on {text}", f"{layout!r} is no layout of {name}, which is {wanted}", remedy, Exit.USAGE
        )
    if chip.platform == "cuda" and numbers[0] > CARDS_A_HOST:
        cause = f"{numbers[0]} cards are more than the {CARDS_A_HOST} of one machine"
        raise Failure(f"--on {text}", cause, f"at most {name}:{CARDS_A_HOST}", Exit.USAGE)
    return Target(chip, tuple(numbers))
