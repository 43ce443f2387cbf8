"""A project of six short documents whose whole pipeline takes a minute or two: settings, texts and a copy of
the code.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks._copy import environment

TINY = {
    "corpora.demo.source": "texts/*.txt",
    "corpora.demo.max_characters": None,
    "corpora.demo.validation": 0.08,
    "corpora.demo.test": 0.28,
    "geometry.chunk_tokens": 16,
    "geometry.sequence_chunks": 16,
    "ingestion.shards": 4,
    "tokenization.vocabulary_size": 300,
    "mining.max_candidates": 20,
    "reference_lm.layers": 2,
    "reference_lm.width": 32,
    "reference_lm.heads": 2,
    "reference_lm.tokens": 4000,
    "reference_lm.batch": 8,
    "scoring.candidates": 3,
    "scoring.evaluation_candidates": 6,
    "scoring.evaluation_query_fraction": 0.3,
    "label_gates.enforce": False,
    "label_gates.queries": 10,
    "label_gates.bootstrap_samples": 50,
    "exhaustive.queries": 3,
    "retrieved.queries": 5,
    "dense_retriever.layers": 2,
    "dense_retriever.width": 32,
    "dense_retriever.heads": 2,
    "dense_retriever.steps": 4,
    "dense_retriever.batch": 4,
    "training.layers": 2,
    "training.width": 32,
    "training.heads": 2,
    "training.steps": 4,
    "recipes.retro.cca_layers": [2],
    "recipes.rpt_sem.cca_layers": [2],
    "evaluation.max_tokens_per_document": 2048,
    "report.bootstrap_samples": 50,
    "runtime.workers": 1,  # each of them is a process in every stage of Ray
}


def synthetic_document(seed: int, paragraphs: int = 250) -> str:
    """Text with repeated paragraphs, so that retrieval has something to find."""
    generator = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(200)]
    stock = [" ".join(generator.choice(words, 12)) for _ in range(paragraphs // 3)]
    return "\n".join(f"{number}: {stock[generator.integers(len(stock))]}" for number in range(paragraphs))


def make_tiny(root: Path) -> None:
    """Give a copy of the checkout in `root` six documents, a git repository of its own and the settings of
    `TINY`.
    """
    (root / "texts").mkdir()
    for number in range(6):
        (root / "texts" / f"{number}.txt").write_text(synthetic_document(number))
    # of a worktree it is a file that leads to the repository of the checkout, whose branch this would write
    # to
    git = root / ".git"
    git.unlink() if git.is_file() else shutil.rmtree(git, ignore_errors=True)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    overrides = [
        part for key, value in TINY.items() for part in ("-o", f"{key}={'null' if value is None else value}")
    ]
    subprocess.run(
        [sys.executable, "-m", "flows.cli", "config", *overrides],
        cwd=root,
        env=environment(root),
        check=True,
        stdout=subprocess.DEVNULL,
    )
