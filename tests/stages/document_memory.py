"""The memory that each stage of the data takes for one long document:
`python -m tests.stages.document_memory FOLDER BYTES` prints {stage: bytes} as JSON.

A program of its own, as its children are forked: nothing may have been computed before.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from benchmarks._forked_stages import Workspace, run_stage
from benchmarks.memory import OVERRIDES, write_text
from data_contracts import contract
from flows.overrides import apply_overrides, parse_override
from stages.ingestion import inputs, readers
from stages.ingestion.inventory import write_inventories
from stages.parameters import load
from stages.runner.stage import load_stage
from stages.tokens import tokenization

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("ingestion", "tokenizer", "tokenization", "chunking", "mining")
SETTINGS = {
    "tokenization.vocabulary_size": "1024",
    "tokenization.train_characters": "500000",
    "ingestion.max_document_chars": "500000",
}


def peak(place: Workspace, name: str) -> int:
    """Bytes that a stage holds at most (resident set); a failure ends the program."""
    child = place.start(lambda: run_stage(name))
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(place.last_words())
    return usage.ru_maxrss * 1024


def main(folder: str, size: str) -> None:
    """Make the document, run and print."""
    place = Workspace(Path(folder))
    (place.root / "texts").mkdir(parents=True)
    for number, length in enumerate((int(size), 50_000, 50_000)):
        write_text(place.root / "texts" / f"{number}.txt", length, number)
    shutil.copy(ROOT / "profiles" / "demo.yaml", place.root / "params.yaml")
    changes = [f"{key}={value}" for key, value in (OVERRIDES | SETTINGS).items()]
    apply_overrides(place.root / "params.yaml", dict(map(parse_override, changes)))
    os.chdir(place.root)
    write_inventories(load(Path("params.yaml")))
    for name in STAGES:  # before the forks, so that what is measured is documents and not imports
        load_stage(name)
    # what stages hold at once, here a thirtieth, so that a short document is many times that
    inputs.BLOCK_BYTES = readers.BLOCK_BYTES = contract.MAX_GROUP_BYTES = 2**20
    tokenization.TABLE_TOKENS = 2**17
    sys.stdout.write(json.dumps({name: peak(place, name) for name in STAGES}))


if __name__ == "__main__":
    main(*sys.argv[1:])
