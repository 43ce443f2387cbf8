"""`sources/<corpus>.json`: what the input files are, so that DVC sees when one of them changes. It holds no
absolute path.
"""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256, write_atomically
from stages.ingestion.sources import SourceFile, source_files
from stages.parameters import Configuration

CACHE = Path(".run/inventory-cache.json")


def content_identity(file: SourceFile, known: dict[str, str], seen: dict[str, str]) -> str:
    """What a store says of the content of `file`, or the SHA-256 of a local one; `known` and `seen` hold
    those already computed.

    Raises:
        Failure: (exit code 2) if a store says nothing, so that a changed file would go unnoticed.
    """
    if file.identity:
        return file.identity
    if "://" in file.url:
        remedy = "copy it to a local disk, gs:// or a Hugging Face dataset"
        raise Failure(
            f"{file.url} cannot be a source",
            "its file system names no generation, hash or tag of a file",
            remedy,
            Exit.USAGE,
        )
    path = Path(file.url)
    status = path.stat()
    key = f"{path}|{status.st_size}|{status.st_mtime_ns}"
    seen[key] = known.get(key) or f"sha256:{sha256(path)}"
    return seen[key]


def write_inventories(configuration: Configuration) -> None:
    """Bring sources/*.json up to date; a local file whose size and time did not change is not read again.

    Raises:
        Failure: (exit code 2) if a corpus has no input file, (5) if a store cannot be reached.
    """
    try:
        known = json.loads(CACHE.read_text())
    except (OSError, ValueError):
        known = {}
    seen: dict[str, str] = {}
    for name, corpus in configuration.corpora.items():
        files = source_files(corpus)
        rows = [
            {"name": file.name, "bytes": file.bytes, "content": content_identity(file, known, seen)}
            for file in files
        ]
        text = json.dumps({"files": rows}, indent=1, ensure_ascii=False) + "\n"
        target = Path("sources") / f"{name}.json"
        target.parent.mkdir(exist_ok=True)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            write_atomically(target, text.encode())
    CACHE.parent.mkdir(exist_ok=True)
    write_atomically(CACHE, json.dumps(seen).encode())
