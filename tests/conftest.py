"""Shared fixtures: small tables made by the real stages, and a private copy of the project to run whole pipelines in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from data_contracts.tokens import CHUNKS
from stages.parameters import Geometry, Mining

ROOT = Path(__file__).resolve().parents[1]
settings.register_profile("rpt", deadline=None)  # a busy machine is no failure
settings.load_profile("rpt")
CODE = ("flows", "infra", "stages", "reports", "model", "data_contracts", "benchmarks")
FILES = ("rpt", "dvc.yaml", "params.yaml", "prefect.yaml", "requirements.txt", "requirements-dev.txt", ".dvcignore", ".gitignore")

TINY = {
    "corpora.demo.source": "texts/*.txt",
    "corpora.demo.max_characters": None,
    "geometry.chunk_tokens": 16,
    "geometry.sequence_chunks": 16,
    "ingestion.shards": 4,
    "tokenization.vocabulary_size": 300,
    "mining.max_candidates": 20,
    "reference_lm.layers": 1,
    "reference_lm.width": 32,
    "reference_lm.heads": 2,
    "reference_lm.tokens": 4000,
    "reference_lm.batch": 8,
    "scoring.candidates": 3,
    "scoring.evaluation_candidates": 6,
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
}


@pytest.fixture
def geometry() -> Geometry:
    return Geometry(chunk_tokens=8, sequence_chunks=16, stride_chunks=2)


@pytest.fixture
def mining() -> Mining:
    return Mining(max_candidates=5)


def chunk_table(documents: dict[str, tuple[str, np.ndarray]], geometry: Geometry) -> pa.Table:
    """CHUNKS of {doc_id: (split, tokens)} without a tokenizer."""
    columns: dict[str, list] = {name: [] for name in CHUNKS.schema.names}
    for doc_id, (split, tokens) in documents.items():
        for number, begin in enumerate(range(0, len(tokens), geometry.chunk_tokens)):
            row = (doc_id, split, number, number // geometry.sequence_chunks, tokens[begin : begin + geometry.chunk_tokens], f"{number}")
            for name, value in zip(CHUNKS.schema.names, row, strict=True):
                columns[name].append(value)
    return CHUNKS.table(columns, chunk_tokens=geometry.chunk_tokens, sequence_chunks=geometry.sequence_chunks)


@pytest.fixture
def make_chunks(geometry):
    return lambda documents: chunk_table(documents, geometry)


def synthetic_document(seed: int, paragraphs: int = 250) -> str:
    """Text with repeated paragraphs, so that retrieval has something to find."""
    generator = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(200)]
    stock = [" ".join(generator.choice(words, 12)) for _ in range(paragraphs // 3)]
    return "\n".join(f"{number}: {stock[generator.integers(len(stock))]}" for number in range(paragraphs))


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A copy of the project with its own git repository, six short documents and parameters of a few seconds."""
    root = tmp_path_factory.mktemp("project")
    for name in CODE:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, root / name)
    (root / ".dvc").mkdir()
    shutil.copy2(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    (root / "texts").mkdir()
    for number in range(6):
        (root / "texts" / f"{number}.txt").write_text(synthetic_document(number))
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    overrides = [part for key, value in TINY.items() for part in ("-o", f"{key}={'null' if value is None else value}")]
    done = run_rpt(root, "config", *overrides)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="session")
def rpt():
    """The command line of a copy of the project, as a function."""
    return run_rpt


def run_rpt(root: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    """The command line of the copy, with this interpreter."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".run" / "jax-cache")}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, cwd=root, env=environment, text=True, capture_output=True, timeout=280, check=False, **options)
