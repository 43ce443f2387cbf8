"""The packages that `requirements*.txt` pin: names, versions, hashes, and where each holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from data_contracts.failure import Exit, Failure
from flows.workspace import ROOT

PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(;(?P<marker>[^\\]*))?\\?$"
)
HASH = re.compile(r"^\s+--hash=sha256:([0-9a-f]{64})\s*\\?$")


@dataclass(frozen=True)
class Pin:
    """A package of one lock; `hashes` are SHA-256 of the files that may be installed, `marker` says on which
    machines it is.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    lock: str
    marker: str = ""

    @property
    def holds_here(self) -> bool:
        """Whether this interpreter on this machine would install it."""
        return not self.marker or Marker(self.marker).evaluate()


def locks(root: Path = ROOT) -> list[Path]:
    """The lock files, by name."""
    return sorted(root.glob("requirements*.txt"))


def pins(lock: Path) -> list[Pin]:
    """What a lock pins, in its order.

    Raises:
        Failure: (exit code 2) for a line that is neither a pin, a hash nor a comment, or a pin without a
            hash.
    """
    found: list[Pin] = []
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if pin := PIN.match(line):
            marker = (pin["marker"] or "").strip()
            found.append(Pin(canonicalize_name(pin["name"]), pin["version"], (), lock.name, marker))
        elif (digest := HASH.match(line)) and found:
            last = found[-1]
            found[-1] = Pin(last.name, last.version, (*last.hashes, digest[1]), last.lock, last.marker)
        else:
            raise Failure(
                f"{lock.name}, line {number}",
                f"{line.strip()[:80]!r} is no pin and no hash",
                "write the lock again",
                Exit.USAGE,
            )
    if loose := [pin.name for pin in found if not pin.hashes]:
        raise Failure(
            lock.name, f"no hash for {', '.join(loose[:5])}", "write the lock again with hashes", Exit.USAGE
        )
    return found
