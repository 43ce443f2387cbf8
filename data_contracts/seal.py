"""Directories that hold no Parquet (tokenizers, reference LMs, models, reports) beside the SHA-256 of each of
their files, as the manifest of an artifact has them of its shards.
"""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256, write_atomically

SEAL = "sha256.json"
OWN_DIGESTS = ("manifest.json", "index.json")  # of artifacts and of an index


def seal(directory: Path) -> None:
    """Write the seal of a finished directory, unless it has digests of its own."""
    if not any((directory / name).exists() for name in OWN_DIGESTS):
        write_atomically(directory / SEAL, json.dumps(_digests(directory), indent=1).encode())


def check_seal(directory: Path) -> None:
    """Compare each file with the seal; a directory without one is taken as it is.

    Raises:
        Failure: (exit code 3) naming files that are not as they were written, missing or too many.
    """
    if not (directory / SEAL).is_file():
        return
    try:
        written = dict(json.loads((directory / SEAL).read_bytes()))
        found = _digests(directory)
    except (OSError, ValueError, TypeError) as error:
        written, found = {SEAL: f"{type(error).__name__}: {error}"}, {}
    if wrong := sorted(name for name in {*written, *found} if written.get(name) != found.get(name)):
        others = f", and so are {len(wrong) - 1} more files" if len(wrong) > 1 else ""
        raise Failure(
            f"{directory / wrong[0]} is not as it was written",
            f"it is missing, or other than {SEAL} says{others}",
            "`./rpt verify`, then run again, which brings it back; after an edit of your own remove"
            f" {SEAL} there",
            Exit.CONTRACT,
        )


def _digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / SEAL)
    return {path.relative_to(directory).as_posix(): sha256(path) for path in files}
