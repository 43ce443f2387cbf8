"""`sources/<corpus>.json`: what the input files are, so that DVC sees when one of them changes. It holds no absolute path."""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts.contract import sha256, write_atomically
from stages.parameters import Configuration
from stages.sources import source_files

CACHE = Path(".run/inventory-cache.json")


def write_inventories(configuration: Configuration) -> None:
    """Bring sources/*.json up to date; a file whose size and time did not change is not read again.

    Raises:
        Failure: (exit code 2) if a corpus has no input file.
    """
    try:
        known = json.loads(CACHE.read_text())
    except (OSError, ValueError):
        known = {}
    seen: dict[str, str] = {}
    for name, corpus in configuration.corpora.items():
        rows = []
        for file in source_files(corpus):
            status = file.path.stat()
            key = f"{file.path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
            seen[key] = known.get(key) or sha256(file.path)
            rows.append({"name": file.name, "bytes": status.st_size, "sha256": seen[key]})
        text = json.dumps({"files": rows}, indent=1, ensure_ascii=False) + "\n"
        target = Path("sources") / f"{name}.json"
        target.parent.mkdir(exist_ok=True)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            write_atomically(target, text.encode())
    CACHE.parent.mkdir(exist_ok=True)
    write_atomically(CACHE, json.dumps(seen).encode())
