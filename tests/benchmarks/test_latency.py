"""The parts of a query are those of the real engines; no time is asserted."""

import json
import sys

import numpy as np

from benchmarks import latency
from benchmarks.result import refusing
from model.baselines.retro_corpus import RetroCorpus
from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.passages import Passages
from model.streaming import Document, StreamingReader
from stages.parameters import Index
from tests.benchmarks.test_grounding import workspace  # noqa: F401 - a fixture
from tests.tiny import tiny_config


def test_every_part_is_measured_at_every_size(workspace, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(sys, "argv", ["latency", "demo-it", "--sizes", "60", "30", "--json"])
    monkeypatch.setattr(latency, "STRIDES", 2)
    assert refusing(latency.main) == 0
    found = json.loads(capsys.readouterr().out)
    parts = {"encode", "search_at_60", "search_at_30", "read", "fuse"}
    assert {*found["figures"]} == {f"{part}_ms" for part in parts}
    assert {*found["cpu_ms"]} == parts
    assert found["search"] == {"60": "exact", "30": "exact"}
    for sizes, said in (
        (("30", "30"), "30 is there twice"),
        (("1",), "1 is less than 2"),
        (("60", "-5"), "-5 is"),
    ):
        monkeypatch.setattr(sys, "argv", ["latency", "demo-it", "--sizes", *sizes])
        assert refusing(latency.main) == 2
        assert said in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["latency", "demo-new", "--sizes", "30"])
    assert refusing(latency.main) == 2
    assert "run demo-new is not trained" in capsys.readouterr().err


def test_a_database_is_as_large_and_of_the_kind_that_was_asked_for(tmp_path):
    sample = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    vectors, kind = latency.database_of(sample, 100, Index(exact_below=200), tmp_path / "exact")
    assert (len(vectors.keys_ND), kind) == (100, "exact")
    # A key is one of the sample with a little noise, so what is nearest to that is it or a copy of it.
    assert (vectors.search(sample, 1).ids_Qk[:, 0] % 7 == np.arange(7)).all()
    section = Index(exact_below=50, approximate="hnsw")
    vectors, kind = latency.database_of(sample, 100, section, tmp_path / "hnsw")
    assert (kind, vectors.graph.ntotal) == ("hnsw", 100)


def test_a_step_is_the_first_stride_of_an_evaluation():
    config = tiny_config()
    architecture, rng = Architecture.of(RetroCorpus, config), np.random.default_rng(0)
    model = architecture.model(initial_parameters(architecture, config, 0))
    size, chunks = config.chunk_tokens, config.stride_chunks
    tokens = rng.integers(1, 40, size * chunks + 1).astype(np.int32)
    passages = rng.integers(1, 40, (chunks, config.neighbours, 2 * size)).astype(np.int32)
    ids = np.arange(chunks * config.neighbours).reshape(1, chunks, config.neighbours)
    document = Document(tokens, Passages(passages.reshape(-1, 2 * size)), lambda first, queries: ids)
    reader = StreamingReader(model, 1, config.neighbours, config.neighbours)
    ((_, reading),) = reader.read(iter([document]))
    losses = latency.step_of(model)(tokens[None], passages[None])
    np.testing.assert_allclose(losses, reading.losses_ST, rtol=1e-5)
    # The whole model reads what it is given, and what its reading is measured against does not.
    plain, other = latency.step_of(latency.without_passages(config)), passages[None, ..., ::-1]
    assert (plain(tokens[None], passages[None]) == plain(tokens[None], other)).all()
    assert not np.allclose(losses, latency.step_of(model)(tokens[None], other), rtol=1e-3)
