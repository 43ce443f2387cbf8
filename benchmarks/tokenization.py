"""How fast documents become tokens: the stage's own path against plain `Tokenizer.encode_batch` on the same
documents.

The text is up to 20 MB of the source of Python's standard library, one file a document. Both run with one
thread, which is what a worker that holds one CPU has, and take turns. The stage does more: it also gathers
the token ids into a table of the contract.
"""

from __future__ import annotations

import os
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from benchmarks.result import Bar, show
from data_contracts.documents import DOCUMENTS
from stages.tokens.tokenization import tokenize
from stages.tokens.tokenizer import load_tokenizer, train_tokenizer

BYTES = 20_000_000
TRAINING_BYTES = 2_000_000
VOCABULARY = 8192
ROUNDS = 3
BARS = [Bar("x_encode_batch", 0.9, at_most=False)]


def standard_library(limit: int) -> list[str]:
    """Files of Python's standard library in order of their names, until `limit` bytes."""
    root, texts, size = Path(sysconfig.get_paths()["stdlib"]), list[str](), 0
    for path in sorted(root.rglob("*.py")):
        if "site-packages" not in path.parts and size < limit:
            raw = path.read_bytes()
            if text := raw.decode("utf-8", "ignore"):
                texts.append(text)
                size += len(raw)
    return texts


def documents(texts: list[str]) -> pa.Table:
    """DOCUMENTS of these texts."""
    columns = {
        "doc_id": [f"{number:016x}" for number in range(len(texts))],
        "corpus": ["python"] * len(texts),
        "split": ["train"] * len(texts),
        "source": ["python"] * len(texts),
        "part_of": [""] * len(texts),
        "license": [""] * len(texts),
        "text": texts,
        "num_chars": [len(text) for text in texts],
    }
    return DOCUMENTS.table(columns)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    """Measure and show."""
    load = os.getloadavg()[0]
    os.environ["RAYON_NUM_THREADS"] = "1"
    texts = standard_library(BYTES)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    table = documents(texts)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        step = max(1, BYTES // TRAINING_BYTES)
        train_tokenizer(iter(texts[::step]), VOCABULARY).save(str(directory / "tokenizer.json"))
        encoder = load_tokenizer(directory)
        ours, plain = list[float](), list[float]()
        for _ in range(ROUNDS):
            ours.append(seconds(lambda: list(tokenize(table, directory))))
            plain.append(seconds(lambda: encoder.encode_batch(texts, add_special_tokens=False)))
    figures = {
        "x_encode_batch": statistics.median(plain) / statistics.median(ours),
        "mb_per_s_per_core": megabytes / statistics.median(ours),
        "encode_batch_mb_per_s_per_core": megabytes / statistics.median(plain),
    }
    show("tokenization", figures, BARS, load)


if __name__ == "__main__":
    main()
