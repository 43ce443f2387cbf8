"""Loss by distance from the start of a document."""

import numpy as np
import polars as pl
import pytest

from reports.metrics.perplexity import resampled
from reports.metrics.positions import (
    COUNT,
    EDGES,
    bins_of_tokens,
    position_figures,
    position_of,
    position_sums,
)


def test_every_token_has_the_bin_of_its_place_in_the_document():
    chunks = pl.DataFrame({"chunk": [-1, 0, 1, -1, 0], "tokens": [7, 8, 3, 7, 2]})
    places = [*range(1, 8), *range(8, 16), *range(16, 19), *range(1, 8), 8, 9]
    assert bins_of_tokens(chunks, 8).tolist() == [0 if place < 16 else 1 for place in places]
    assert (np.diff(EDGES[1:]) == EDGES[1:-1]).all()


def test_sums_are_those_of_each_token(made_up, evaluations_sample):
    evaluations = made_up.aligned()
    sums = position_sums(evaluations, evaluations_sample.CHUNK_TOKENS)
    document = "0000000000000000"
    rows = evaluations.frames["demo-rpt_sem", "own"].filter(pl.col("doc_id") == document)
    losses = np.concatenate(rows["token_losses"].to_list())
    blocks = evaluations.document_B == 0
    by_bin = [losses[EDGES[i] - 1 : EDGES[i + 1] - 1].sum() for i in range(7)]
    assert sums[position_of("demo-rpt_sem")][blocks].sum(axis=0) == pytest.approx(by_bin, rel=1e-5)
    assert sums[COUNT].sum() == evaluations.chunks["tokens"].sum()
    assert len(sums[COUNT]) == 8  # 70 chunks are two blocks


def test_gains_begin_where_there_is_something_to_retrieve(made_up, evaluations_sample):
    evaluations = made_up.aligned()
    by_block = position_sums(evaluations, evaluations_sample.CHUNK_TOKENS)
    found = position_figures(evaluations, resampled(evaluations, by_block, 50, 0))
    runs = {run.run: run for run in found.runs}
    assert [(bin_.start, bin_.end) for bin_ in found.bins][:3] == [(1, 15), (16, 31), (32, 63)]
    assert runs["demo-transformer_xl"].gain is None
    gains = [gain.value for gain in runs["demo-rpt_sem"].gain]
    assert gains[:2] == [0.0, 0.0]
    assert gains[-1] == pytest.approx(0.3, abs=1e-3)
    assert all(run.gain is None or len(run.gain) == len(found.bins) == len(run.nats) for run in found.runs)
