"""The reference LM as the one reader of all retrievers, against sums query by query."""

import math
from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest

from data_contracts.eligibility import last_eligible
from reports.metrics.frozen_reader import FrozenFigures
from reports.metrics.resampling import Estimate
from reports.metrics.run_figures import run_figures
from tests.reports.evaluations_sample import CHUNK_TOKENS, STRIDE_CHUNKS, Sample

PAIR = ["doc_id", "query_chunk", "candidate_chunk"]


def rows_of(found: Sequence[FrozenFigures]) -> dict[tuple[str, int], FrozenFigures]:
    return {(row.retriever, row.neighbours): row for row in found}


@pytest.fixture(scope="module")
def rows(made_up):
    return rows_of(run_figures(made_up.evidence(), 100).frozen_reader)


def by_hand(made_up: Sample) -> dict[tuple[str, int], list[float]]:
    """The log-probability of each sampled query's target, by what is read."""
    scored = {
        tuple(pair): value
        for *pair, value in made_up.retrieved.select(*PAIR, "candidate_logprob").iter_rows()
    }
    local = {
        (doc, query): value
        for doc, query, value in made_up.retrieved.select(
            "doc_id", "query_chunk", "local_logprob"
        ).iter_rows()
    }
    own = pl.DataFrame(pl.from_arrow(made_up.evaluations["demo-rpt_sem"])).filter(pl.col("setting") == "own")
    read = {(doc, chunk): ids for doc, chunk, ids in own.select("doc_id", "chunk", "retrieved").iter_rows()}
    found: dict[tuple[str, int], list[float]] = {}
    for (doc, query), nothing in local.items():
        ids = read[doc, query]
        probabilities = [math.exp(scored[doc, query, j]) for j in ids[:2]]
        of = {
            ("nothing", 0): nothing,
            ("latest", 1): scored[doc, query, last_eligible(query, STRIDE_CHUNKS)],
            ("RPT-Sem", 1): scored[doc, query, ids[0]],
            ("RPT-Sem", 2): math.log(sum(probabilities) / len(probabilities)),
            ("best of all scored", 1): max(
                value for pair, value in scored.items() if pair[:2] == (doc, query)
            ),
        }
        for reader, value in of.items():
            found.setdefault(reader, []).append(value)
    return found


def test_perplexities_and_gains_are_those_of_every_target_by_hand(made_up, rows):
    expected = by_hand(made_up)
    nothing = sum(expected["nothing", 0])
    assert set(expected) < set(rows)
    for reader, values in expected.items():
        row, tokens = rows[reader], len(values) * CHUNK_TOKENS
        assert row.queries == len(values)
        assert row.perplexity == pytest.approx(math.exp(-sum(values) / tokens), abs=1e-5), reader
        assert row.gain.value == pytest.approx((sum(values) - nothing) / tokens, abs=1e-5), reader
        assert row.low <= row.perplexity <= row.high
    assert rows["nothing", 0].gain == Estimate(0.0, 0.0, 0.0)
    assert (
        rows["best of all scored", 1].gain.value
        > rows["RPT-Sem", 2].gain.value
        > rows["RPT-Sem", 1].gain.value
    )


def test_every_retriever_is_read_with_one_and_with_two_neighbours(rows):
    readers = [
        (name, count) for name in ("BM25", "Random retrieval", "RPT-Lex", "RPT-Sem") for count in (1, 2)
    ]
    assert list(rows) == [("nothing", 0), ("latest", 1), *readers, ("best of all scored", 1)]


def test_a_query_for_which_nothing_was_read_has_the_local_context(made_up):
    """RPT-Sem here reads nothing at all for the first document, and as before for the others."""
    evidence = made_up.evidence()
    key, first = ("demo-rpt_sem", "own"), pl.col("doc_id") == "0" * 16
    frames = dict(evidence.evaluations.frames)
    frames[key] = frames[key].with_columns(
        retrieved=pl.when(first).then(pl.lit([], pl.List(pl.Int32))).otherwise("retrieved")
    )
    row = rows_of(
        run_figures(
            replace(evidence, evaluations=replace(evidence.evaluations, frames=frames)), 20
        ).frozen_reader
    )
    expected = by_hand(made_up)
    in_first = (
        made_up.retrieved.select("doc_id", "query_chunk").unique(maintain_order=True)["doc_id"] == "0" * 16
    )
    values = [
        nothing if skipped else read
        for nothing, read, skipped in zip(
            expected["nothing", 0], expected["RPT-Sem", 1], in_first.to_list(), strict=True
        )
    ]
    assert row["RPT-Sem", 1].perplexity == pytest.approx(
        math.exp(-sum(values) / len(values) / CHUNK_TOKENS), abs=1e-5
    )


def test_without_a_sample_there_is_no_frozen_reader(made_up):
    assert (
        run_figures(replace(made_up.evidence(), retrieved=made_up.retrieved.clear()), 20).frozen_reader == []
    )
