"""One document of 1 GB from its file to its candidates: the most memory that any single process holds.

The document is generated as a stream, lies in the train split and is mined with every worker the machine has
cores for. A smaller document for a trial: BYTES=50000000 python -m benchmarks.memory
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil

from benchmarks._copy import environment, fresh_copy, watch
from benchmarks.result import Bar, show

BYTES = int(os.environ.get("BYTES", 10**9))
BLOCK_WORDS = 400_000
SECONDS = 0.1
BARS = [Bar("peak_rss_gib_1gb_document", 1.5, at_most=True)]
OVERRIDES = {
    "corpora.demo.source": "texts/*.txt",
    "corpora.demo.max_characters": "null",
    "corpora.demo.splits": "{validation: 1.txt, test: 2.txt}",
    "geometry.sequence_chunks": "256",
    "geometry.stride_chunks": "16",
    "tokenization.vocabulary_size": "4096",
    "tokenization.train_characters": "20000000",
    "mining.max_candidates": "20",
}


def write_text(path: Path, size: int, seed: int) -> None:
    """A text of at least `size` bytes: words of the standard library's sources drawn at random, no two blocks
    alike.
    """
    words = np.array(sorted(set((Path(os.__file__).parent / "argparse.py").read_text().split())))
    generator = np.random.default_rng(seed)
    with open(path, "w", encoding="utf-8") as file:
        while file.tell() < size:
            drawn = words[generator.zipf(1.3, BLOCK_WORDS).clip(max=len(words)) - 1]
            file.writelines(" ".join(line) + "\n" for line in drawn.reshape(-1, 20))


def largest_process(processes: list[psutil.Process]) -> int:
    """Bytes of memory that the largest of some processes holds (resident set)."""
    largest = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            largest = max(largest, process.memory_info().rss)
    return largest


def main() -> None:
    """Measure stage by stage and show."""
    load = os.getloadavg()[0]
    rpt = [sys.executable, "-m", "flows.cli"]
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = fresh_copy(Path(folder))
        (copy / "texts").mkdir()
        for number, size in enumerate((BYTES, 100_000, 100_000)):
            write_text(copy / "texts" / f"{number}.txt", size, number)
        options = [part for key, value in OVERRIDES.items() for part in ("-o", f"{key}={value}")]
        subprocess.run(
            [*rpt, "config", *options], cwd=copy, check=True, stdout=subprocess.DEVNULL, env=environment(copy)
        )
        peaks = {}
        for stage in ("ingestion", "tokenizer", "tokenization", "chunking", "mining"):
            figures[f"{stage}_s"], peaks[stage] = watch([*rpt, "run", stage], copy, largest_process, SECONDS)
    figures |= {f"{stage}_peak_gib": peak for stage, peak in peaks.items()}
    show("memory", {"peak_rss_gib_1gb_document": max(peaks.values()), **figures}, BARS, load)


if __name__ == "__main__":
    main()
