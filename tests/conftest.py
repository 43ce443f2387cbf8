"""Shared fixtures: small tables made by the real stages, and copies of the project to run whole
pipelines in.
"""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.pop("RPT_CALLED_FROM", None)  # relative paths of tests count from where these are
from tests import quick_compilation  # noqa: F401, I001 - before anything computes

from data_contracts.tokens import CHUNKS
from stages.parameters import Geometry, Mining
from tests import budget, order, pipelines
from tests.budget import pytest_addoption  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
settings.register_profile("rpt", deadline=None)  # a busy machine is no failure
settings.load_profile("rpt")


def pytest_configure(config: pytest.Config) -> None:
    """Files begin in their order, and are weighed where that is asked for."""
    order.pytest_configure(config)
    budget.pytest_configure(config)


# What is imported lives to the end. To look through it for garbage again and again costs a seventh of the
# time to collect, and as much of that to trace a model.
gc.disable()

# `rpt` keeps no bytecode, but to rewrite and compile the files of all tests costs each process two thirds of
# its time to collect them.
sys.dont_write_bytecode, WITHOUT_BYTECODE = False, sys.dont_write_bytecode


def pytest_collection_finish() -> None:
    """What tests import, and may have written a moment ago, is as the environment says, and no garbage."""
    sys.dont_write_bytecode = WITHOUT_BYTECODE
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


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
            row = (
                doc_id,
                split,
                number,
                number // geometry.sequence_chunks,
                tokens[begin : begin + geometry.chunk_tokens],
                f"{number}",
            )
            for name, value in zip(CHUNKS.schema.names, row, strict=True):
                columns[name].append(value)
    return CHUNKS.table(columns, chunk_tokens=geometry.chunk_tokens, sequence_chunks=geometry.sequence_chunks)


@pytest.fixture
def make_chunks(geometry):
    return lambda documents: chunk_table(documents, geometry)


@pytest.fixture
def gcs(monkeypatch, tmp_path_factory):
    """A Google Cloud Storage on loopback with one empty bucket, gs://bucket, for this process and those that
    it starts, and a cache of its own.
    """
    from gcsfs import GCSFileSystem

    from tests.object_store import object_store  # its emulator is not in vLLM's environment

    with object_store() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        GCSFileSystem.clear_instance_cache()
        yield server
        GCSFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def project() -> Iterator[Path]:
    """A copy of the project in which nothing has been run; to be copied, never changed."""
    yield from _unchanged("project")


@pytest.fixture(scope="session")
def finished() -> Iterator[Path]:
    """A copy of the project after `rpt run`; to be copied, never changed."""
    yield from _unchanged("finished")


def _unchanged(name: str) -> Iterator[Path]:
    root = pipelines.shared(name)
    before = pipelines.state(root)
    yield root
    assert pipelines.state(root) == before, f"a test has changed the shared copy {name}"


@pytest.fixture(scope="session")
def rpt():
    """The command line of a copy of the project, as a function."""
    return pipelines.run_rpt
