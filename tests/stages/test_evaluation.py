"""Evaluation rows: which loss stands beside which neighbours, on a real untrained model."""

import numpy as np
import pyarrow as pa
import pytest

from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.presets import SYSTEMS
from stages.evaluation import bm25_rankings, document_rows, evaluate_document, held_out
from stages.mining import mine
from stages.parameters import Evaluation, Geometry, Mining, Recipe, Training
from stages.systems import shape_of

GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=16, stride_chunks=2)
TRAINING = Training(
    layers=2,
    width=16,
    heads=2,
    dropout=0.0,
    zero_init_residuals=False,
    dtype="float32",
    remat=False,
    steps=1,
    batch=1,
    learning_rate=1e-3,
    warmup=0.0,
)
RECIPE = Recipe(cca_layers=(2,), neighbours=2, gate_window=4)
TOKENS = np.random.default_rng(0).integers(1, 50, 8 * 20 + 5)
PADDED = 8 * 24


def model(name: str):
    shape = shape_of(GEOMETRY, TRAINING, RECIPE, 50)
    architecture = Architecture.of(SYSTEMS[name].build, shape)
    return architecture.model(initial_parameters(architecture, shape, 0))


def test_losses_are_grouped_by_the_chunk_of_their_target():
    losses = np.arange(1, 20, dtype=np.float32)
    ranking = np.array([[-1, -1, -1], [-1, -1, -1]], np.int32)
    rows = document_rows(losses, ranking, GEOMETRY, 2)
    assert rows["chunk"] == [-1, 0, 1]
    assert rows["tokens"] == [7, 8, 4]
    assert rows["loss"] == [sum(range(1, 8)), sum(range(8, 16)), sum(range(16, 20))]


@pytest.mark.parametrize("name", ["transformer_xl", "retro", "rpt_sem"])
def test_every_token_after_the_first_is_counted_and_only_the_past_is_ranked(name, make_chunks, geometry):
    chunks = make_chunks({"d": ("test", TOKENS)})
    bm25 = bm25_rankings(pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=20))))["d"] if name == "retro" else None
    losses, ranking = evaluate_document(model(name), TOKENS, PADDED, bm25, GEOMETRY, 2)
    rows = document_rows(losses, ranking, GEOMETRY, 2)
    assert sum(rows["tokens"]) == len(TOKENS) - 1
    assert sum(rows["loss"]) == pytest.approx(losses.sum(), rel=1e-5)
    for chunk, retrieved, listed, eligible in zip(rows["chunk"], rows["retrieved"], rows["ranking"], rows["eligible"], strict=True):
        assert len(listed) == (min(eligible, 20) if name != "transformer_xl" else 0)
        assert retrieved.tolist() == listed[:2].tolist()
        assert all(candidate < eligible and candidate + 1 < chunk for candidate in listed)


def test_changed_neighbours_change_the_losses_of_the_next_chunk_first():
    retro = model("retro")
    ranking = np.full((20, 20), -1, np.int32)
    ranking[10, :2] = (0, 1)
    before, _ = evaluate_document(retro, TOKENS, PADDED, np.full((20, 20), -1, np.int32), GEOMETRY, 2)
    after, _ = evaluate_document(retro, TOKENS, PADDED, ranking, GEOMETRY, 2)
    changed = np.flatnonzero(np.abs(before - after) > 1e-7) + 1
    assert changed.min() == 11 * 8
    assert set(changed) <= set(range(11 * 8, 12 * 8)), "one layer of cross-attention reaches chunk c_11 only"


def test_only_the_asked_split_and_length_are_evaluated(make_chunks):
    chunks = make_chunks({"a": ("test", TOKENS), "b": ("train", TOKENS), "c": ("validation", TOKENS)})
    documents = held_out(chunks, Evaluation(split="validation", max_tokens_per_document=50))
    assert list(documents) == ["c"]
    assert np.array_equal(documents["c"], TOKENS[:50])
