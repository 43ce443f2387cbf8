"""Whether the licences of what is locked are ones that this project accepts: `infra/supply_chain.toml` has
the list and its exceptions.

What a package says of itself is read: its License-Expression, else its classifiers, else the first line of
its License field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from flows.commands.locks import Pin

OSI = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Licences:
    """What was found: how many packages were read, why some are refused, what is not installed here and so
    was not read.
    """

    read: int
    refused: tuple[str, ...]
    unread: tuple[str, ...]


def installed(places: Iterable[Path]) -> dict[str, Any]:
    """The metadata of what is installed in some `site-packages`, by its name."""
    known = [one.metadata for one in distributions(path=[str(place) for place in places])]
    return {canonicalize_name(metadata["Name"]): metadata for metadata in known if metadata["Name"]}


def said(metadata: Any) -> str:
    """The licence that a package says it has, in its own words; several classifiers hold together. Empty if
    it says none.
    """
    if expression := metadata.get("License-Expression"):
        return expression
    classified = [
        line.removeprefix(OSI) for line in metadata.get_all("Classifier") or [] if line.startswith(OSI)
    ]
    if classified:
        return " AND ".join(classified)
    return next(iter((metadata.get("License") or "").strip().splitlines()), "")


def accepts(expression: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression is met by allowed licences alone: each part of an AND by one of its
    alternatives.

    Brackets are left out, which can only make it stricter.
    """
    parts = re.sub(r"[()]", "", expression).split(" AND ") if expression not in allowed else [expression]
    return all(any(one.strip() in allowed for one in [part, *part.split(" OR ")]) for part in parts)


def look_at(pinned: Iterable[Pin], there: Mapping[str, Any], policy: Mapping[str, Any]) -> Licences:
    """Compare what is installed of the pins with `policy`, the table `licences` of the settings."""
    allowed, exceptions = frozenset(policy["allowed"]), {one["package"]: one for one in policy["exceptions"]}
    refused, unread, read = [], [], set()
    for pin in pinned:
        package = there.get(pin.name)
        if package is None or package["Version"] != pin.version:
            unread.append(f"{pin.name}=={pin.version} of {pin.lock}")
            continue
        read.add(pin.name)
        words = said(package)
        known = exceptions.get(pin.name)
        if not (known and known["licence"] == words) and not accepts(words, allowed):
            refused.append(f"{pin.name} {pin.version} ({pin.lock}): {words or 'it names no licence'}")
    return Licences(len(read), tuple(sorted(set(refused))), tuple(unread))
