"""`rpt sbom`: what the locks pin as a CycloneDX 1.6 bill of materials. Equal locks give equal bytes: it holds
no clock and no machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flows.commands.locks import Pin, locks, pins
from flows.workspace import ROOT

PROPERTY = "rpt:lock"


def bill_of_materials(name: str, version: str, root: Path = ROOT) -> dict:
    """CycloneDX 1.6 of all locks below `root`, a component for each package and version, with the locks that
    pin it.
    """
    together: dict[tuple[str, str], list[Pin]] = {}
    for lock in locks(root):
        for pin in pins(lock):
            together.setdefault((pin.name, pin.version), []).append(pin)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name, "version": version}},
        "components": [_component(same) for _, same in sorted(together.items())],
    }


def _component(same: Iterable[Pin]) -> dict:
    """One package in one version; a hash for each file that some lock lets be installed."""
    same = list(same)
    address = f"pkg:pypi/{same[0].name}@{same[0].version.replace('+', '%2B')}"
    hashes = sorted({digest for pin in same for digest in pin.hashes})
    return {
        "type": "library",
        "bom-ref": address,
        "name": same[0].name,
        "version": same[0].version,
        "purl": address,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes],
        "properties": [{"name": PROPERTY, "value": lock} for lock in sorted({pin.lock for pin in same})],
    }
