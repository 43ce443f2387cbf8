"""The name of a scratch directory: equal digests mean that a half-finished stage may go on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from data_contracts.seal import SEAL, check_seal


def short_digest(*parts: object) -> str:
    """16 hex digits over JSON-able parts.

    Raises:
        TypeError: for a value without one stable JSON form.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def path_digest(path: Path) -> str:
    """Digest of a file, or of a directory's file names and contents; a manifest stands for the shards it
    lists.

    Raises:
        Failure: (exit code 3) if a directory is not as its seal has it.
    """
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    check_seal(path)
    manifest = path / "manifest.json"
    files = [manifest] if manifest.exists() else _unsealed(path)
    return short_digest(
        [(str(item.relative_to(path)), hashlib.sha256(item.read_bytes()).hexdigest()) for item in files]
    )


def _unsealed(path: Path) -> list[Path]:
    """The files of a directory but its seal, which says again what they are."""
    return sorted(item for item in path.rglob("*") if item.is_file() and item != path / SEAL)
