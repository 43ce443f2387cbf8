"""How many pairs scoring needs: counted in the candidates where there are some, else estimated from the
lengths of the documents.

So do the samples that are scored for evaluations: the exhaustive one is counted in the chunks; of what
systems will retrieve only the most is known before they have.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import polars as pl

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import Artifact, read_columns
from data_contracts.eligibility import last_eligible
from stages.bill.cost import Volume
from stages.parameters import Evaluation, Exhaustive, Geometry, Recipe, Retrieved, Scoring
from stages.scoring.exhaustive import draw, pairs_of
from stages.scoring.ledger import KEYS, Ledger
from stages.scoring.pairs import wanted_pairs
from stages.scoring.scoring import chosen_rows

COLUMNS = [*KEYS, "split", "query_form", "rank"]
COUNTED_ROWS = 20_000_000  # about 10 s


def volume_of(rows: int, wanted: pl.DataFrame, known: pl.DataFrame) -> Volume:
    """What one shard of `rows` labels asks for. Pairs that are `known` have been scored before and cost
    nothing.
    """
    new = wanted.join(known, on=KEYS, how="anti")
    queries, prefixes = wanted.select(KEYS[:2]).n_unique(), new.select("doc_id", "candidate_chunk").n_unique()
    return Volume(queries, rows, len(wanted), len(new), prefixes)


def counted(candidates: Artifact, scoring: Scoring, ledger: Ledger | None = None) -> tuple[Volume, bool]:
    """What all shards ask for, and whether every shard was counted: of more than `COUNTED_ROWS` candidates
    only some shards are.

    Pairs that `ledger` has cost nothing; without one all are new.
    """
    total, read = Volume(), 0
    for shard in _spread(list(candidates.shards)):
        table = read_columns(CANDIDATES, candidates.directory / shard, COLUMNS)
        rows = chosen_rows(table, scoring)
        wanted = wanted_pairs(rows)
        known = ledger.read(wanted["doc_id"]).select(KEYS) if ledger else wanted.clear()
        total += volume_of(rows.num_rows, wanted, known)
        read += table.num_rows
        if read >= COUNTED_ROWS:
            break
    whole = read == candidates.rows
    return (total if whole or not read else total.scaled(candidates.rows / read)), whole


def exhaustive_sample(
    chunks: Artifact,
    geometry: Geometry,
    evaluation: Evaluation,
    exhaustive: Exhaustive,
    ledger: Ledger | None = None,
) -> Volume:
    """What the exhaustive sample asks for; pairs that `ledger` has cost nothing, without one all are new."""
    rows = pairs_of(draw(chunks, geometry, evaluation, exhaustive))
    wanted = wanted_pairs(rows)
    return volume_of(
        rows.num_rows, wanted, ledger.read(wanted["doc_id"]).select(KEYS) if ledger else wanted.clear()
    )


def most_of_exhaustive(exhaustive: Exhaustive) -> Volume:
    """What the exhaustive sample asks for at most."""
    return _at_most(exhaustive.queries, exhaustive.most_eligible)


def most_of_retrieved(retrieved: Retrieved, recipes: Iterable[Recipe]) -> Volume:
    """What the retrieved sample asks for at most: the neighbours of every run of a corpus, given their
    recipes, and the latest chunk, if no two agree and no pair is known."""
    return _at_most(retrieved.queries, 1 + sum(recipe.neighbours for recipe in recipes if recipe.cca_layers))


def _at_most(queries: int, candidates: int) -> Volume:
    pairs = queries * (candidates + 1) if candidates else 0
    return Volume(queries if candidates else 0, queries * candidates, pairs, pairs, pairs)


def _spread(names: list[str]) -> list[str]:
    """The names in an order of which every beginning is spread over all of them: multiples of the golden
    ratio modulo 1.
    """
    places = [(0.6180339887498949 * number) % 1.0 for number in range(len(names))]
    return [name for _, name in sorted(zip(places, names, strict=True))]


def estimated(documents: Iterable[tuple[str, int]], geometry: Geometry, scoring: Scoring) -> Volume:
    """What documents given as (split, full chunks) would ask for if all of their eligible chunks were
    candidates.

    Sampling of queries is taken at its expectation, and every chunk of a pool that may begin a prefix is
    taken to begin one.
    """
    total = Volume()
    for split, full in documents:
        train, size = split == "train", geometry.sequence_chunks
        k = scoring.candidates if train else scoring.evaluation_candidates
        share = scoring.query_fraction if train else scoring.evaluation_query_fraction
        pools = [(full // size, size), (1, full % size)] if train else [(1, full)]
        found = [(count, *_pool(chunks, geometry.stride_chunks, k)) for count, chunks in pools]
        queries, rows = (round(share * sum(part[0] * part[at] for part in found)) for at in (1, 2))
        prefixes = min(sum(count * pool for count, _, _, pool in found), queries + rows)
        total += Volume(queries, rows, queries + rows, queries + rows, prefixes)
    return total


@lru_cache(maxsize=4096)
def _pool(chunks: int, stride_chunks: int, k: int) -> tuple[int, int, int]:
    """(queries with a candidate, candidates up to k a query, prefixes at most) of a pool of full chunks.

    The last chunk is no query, because its target lies elsewhere, so the last prefix is the local context of
    the one before it.
    """
    eligible = np.maximum(last_eligible(np.arange(max(chunks - 1, 0)), stride_chunks) + 1, 0)
    queries = int((eligible > 0).sum())
    return queries, int(np.minimum(eligible, k).sum()), chunks - 3 if queries else 0
