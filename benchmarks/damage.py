"""Thousands of random faults in each kind of file that the project wrote itself: every one is noticed, none
is read in silence.

    ./rpt bench damage [--faults 10000] [--seed 0] [KIND ...] --json

A fault is a bit that flips, an end that is cut, a stretch of zeros, bytes that stand twice or too many, a
file that is lost, or one of another version in its place. Silent is a fault after which other values are read
than were written. Of a ledger rows may be missing, which are scored again; of checkpoints the one before may
be taken: they are judged as a restore does before it lets Orbax read them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _mutations as mutation
from benchmarks._failing_calls import small_ledger, token_shards
from benchmarks.result import Bar, show
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Failure
from data_contracts.seal import check_seal, seal
from data_contracts.tokens import TOKENS

BARS = [Bar("silent", 0, at_most=True)]
LOST, SWAPPED = 0.1, 0.1  # shares of the faults; the others are of bytes


@dataclass(frozen=True)
class Kind:
    """`make` writes one version into a folder, `read` returns what is read of it, `allowed` says whether a
    value may come of damage to another.
    """

    make: Callable[[Path, int], None]
    read: Callable[[Path], Any]
    allowed: Callable[[Any, Any], bool] = lambda found, written: False


def _make_artifact(place: Path, version: int) -> None:
    for number, table in enumerate(token_shards(version)):
        write_shard(TOKENS, table, place / f"part-{number:05d}.parquet")
    commit(TOKENS, place)


def _make_ledger(place: Path, version: int) -> None:
    for begin in range(10 * version, 10 * version + 6, 2):
        ledger, rows = small_ledger(place, range(begin, begin + 2))
        ledger.append(rows)


def _read_ledger(place: Path) -> set:
    ledger, rows = small_ledger(place, range(1))
    found = ledger.read(rows["doc_id"])
    return {
        (*row[:3], tuple(row[3]))
        for row in found.select("doc_id", "query_chunk", "candidate_chunk", "halves").rows()
    }


def _make_checkpoints(place: Path, version: int) -> None:
    from benchmarks._failing_calls import save_checkpoint

    for step in (1 + version, 11 + version):
        save_checkpoint(place, step)


def _read_checkpoints(place: Path) -> tuple[str, ...]:
    """Which of the two may be restored."""
    from stages.training.checkpoints import damage_of

    there = sorted(path for path in (place / "checkpoints").iterdir() if path.name.isdigit())
    return tuple(path.name for path in there if not damage_of(path))


def _make_tokenizer(place: Path, version: int) -> None:
    from stages.tokens.tokenizer import train_tokenizer

    train_tokenizer(iter([f"some words of version {version} {n}" for n in range(9)]), 300).save(
        str(place / "tokenizer.json")
    )
    seal(place)


def _make_lm(place: Path, version: int) -> None:
    from model.tensor_file import save_tensors

    values = np.random.default_rng(version).normal(size=(32, 16)).astype(np.float32)
    save_tensors({f"layer.{number}": values + number for number in range(4)}, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps({"hidden_size": 16, "version": version}))
    _make_tokenizer(place, version)


def _read_sealed(place: Path) -> dict[str, bytes]:
    check_seal(place)
    return {path.name: path.read_bytes() for path in place.iterdir() if path.name != "sha256.json"}


def _make_index(place: Path, version: int) -> None:
    from stages.index import store

    rng = np.random.default_rng(version)
    sizes = {store.KEYS: (40, 8), store.PASSAGES: (40, 16), store.DOCUMENT: (40,), store.CHUNK: (40,)}
    for name, size in sizes.items():
        np.save(place / name, rng.integers(0, 99, size).astype(np.float32))
    (place / store.DOCUMENTS).write_text(json.dumps([f"{number}" for number in range(99)]))
    about = {"kind": "exact", "metric": "dot", "probes": 8, "recall": 1.0, "passages": 40}
    store.seal(place, {**about, "encoder": {"width": version}, "made_of": {"keys": f"{version}"}})


def _read_index(place: Path) -> list:
    from stages.index import store

    store._opened.cache_clear()
    index = store.open_index(place)
    arrays = (index.keys_ND, index.passages_NR, index.document_N, index.chunk_N)
    return [index.about, index.documents, *(array.tolist() for array in arrays)]


def _fewer(found: Any, written: Any) -> bool:
    return set(found) < set(written)


KINDS = {
    "artifact": Kind(_make_artifact, lambda place: open_artifact(TOKENS, place).read_all()),
    "ledger": Kind(_make_ledger, _read_ledger, _fewer),
    "checkpoints": Kind(_make_checkpoints, _read_checkpoints, _fewer),
    "tokenizer": Kind(_make_tokenizer, _read_sealed),
    "reference_lm": Kind(_make_lm, _read_sealed),
    "index": Kind(_make_index, _read_index),
}


def _files(place: Path) -> dict[str, bytes]:
    found = (path for path in sorted(place.rglob("*")) if path.is_file() and path.name != "lock")
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


def _changed(generator: np.random.Generator, name: str, here: dict, other: dict) -> bytes | None:
    """What stands in place of a file; None where it is lost."""
    step = generator.random()
    if step < LOST:
        return None
    if step < LOST + SWAPPED:
        return other[sorted(other)[generator.integers(len(other))]]
    return mutation.of_bytes(generator, here[name])


def damage(kind: Kind, folder: Path, faults: int, seed: int) -> tuple[Counter, list[dict]]:
    """(outcomes, silent faults) of so many faults in files of one kind."""
    place, elsewhere = folder / "here", folder / "elsewhere"
    for directory, version in ((place, 1), (elsewhere, 2)):
        directory.mkdir(parents=True)
        kind.make(directory, version)
    here, other, written = _files(place), _files(elsewhere), kind.read(place)
    counts, silent = Counter[str](), list[dict]()
    for number in range(faults):
        generator = np.random.default_rng([seed, number])
        name = sorted(here)[generator.integers(len(here))]
        data = _changed(generator, name, here, other)
        if data == here[name]:
            counts["unchanged"] += 1
            continue
        (place / name).unlink() if data is None else (place / name).write_bytes(data)
        try:
            found = kind.read(place)
            outcome = (
                "same values" if found == written else "fewer" if kind.allowed(found, written) else "silent"
            )
        except Failure:
            outcome = "refused"
        counts[outcome] += 1
        if outcome == "silent":
            silent.append({"seed": [seed, number], "file": name})
        for leftover in set(_names(place)) - set(here):  # what was set aside
            (place / leftover).unlink()
        (place / name).write_bytes(here[name])
    return counts, silent


def _names(place: Path) -> list[str]:
    return [
        path.relative_to(place).as_posix()
        for path in place.rglob("*")
        if path.is_file() and path.name != "lock"
    ]


def main() -> None:
    """Damage and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench damage")
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="none means all")
    parser.add_argument("--faults", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # a ledger says of each file that it sets it aside
    began, rows, silent = time.monotonic(), dict[str, dict](), list[dict]()
    for name in asked.kinds or list(KINDS):
        with tempfile.TemporaryDirectory() as folder:
            counts, found = damage(KINDS[name], Path(folder), asked.faults, asked.seed)
        rows[name] = dict(sorted(counts.items()))
        silent += [{"kind": name, **row} for row in found]
        sys.stderr.write(f"{name} {rows[name]}\n")
    total = sum((Counter(row) for row in rows.values()), Counter[str]())
    figures: dict[str, float] = {key.replace(" ", "_"): float(count) for key, count in sorted(total.items())}
    figures |= {"faults": float(total.total() - total["unchanged"]), "silent": float(len(silent))}
    figures["seconds"] = round(time.monotonic() - began, 1)
    show("damage", figures, BARS, load, first_seed=asked.seed, kinds=rows, silent=silent[:50])


if __name__ == "__main__":
    main()
