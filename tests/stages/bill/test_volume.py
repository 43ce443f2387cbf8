"""Pairs counted before scoring are the pairs that an engine is then given; estimates come near them."""

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.tokens import CHUNKS
from stages.bill import volume as scoring_volume
from stages.bill.cost import Volume
from stages.mining.mining import mine
from stages.parameters import Evaluation, Exhaustive, Mining, Recipe, Retrieved, Scoring
from stages.scoring.pairs import ShardPrompts, wanted_pairs
from stages.scoring.scoring import chosen_rows

SCORING = Scoring(candidates=3, evaluation_candidates=6, query_fraction=0.7)
LENGTHS = {"test": 41, "train": 90}


class CountingLM:
    """Gives every pair the same score and remembers what it was given."""

    def __init__(self):
        self.given = Volume()

    def score(self, prefixes, suffixes, pairs, progress=None):
        self.given += Volume(new_pairs=len(pairs), new_prefixes=len(np.unique(pairs[:, 0])))
        return np.zeros((len(pairs), 2), np.float32)


@pytest.fixture
def shards(make_chunks, geometry):
    """(chunks, candidates) of three shards, each a test and a train document and a bit of a chunk more."""
    generator = np.random.default_rng(1)
    found = []
    for number in range(3):
        documents = {
            f"{split}{number}": (split, generator.integers(1, 60, 8 * length + 3))
            for split, length in LENGTHS.items()
        }
        chunks = make_chunks(documents)
        found.append((chunks, pa.concat_tables(mine(chunks, geometry, Mining(max_candidates=20)))))
    return found


@pytest.fixture
def candidates(shards, tmp_path):
    for number, (_, table) in enumerate(shards):
        write_shard(CANDIDATES, table, tmp_path / f"part-{number:05d}.parquet")
    commit(CANDIDATES, tmp_path)
    return open_artifact(CANDIDATES, tmp_path)


def test_counted_pairs_and_prefixes_are_those_an_engine_is_given(shards, candidates):
    volume, whole = scoring_volume.counted(candidates, SCORING)
    engine, rows = CountingLM(), 0
    for chunks, table in shards:
        chosen = chosen_rows(table, SCORING)
        ShardPrompts(chunks, 8).score(engine, wanted_pairs(chosen))
        rows += chosen.num_rows
    assert whole
    assert (volume.new_pairs, volume.new_prefixes) == (engine.given.new_pairs, engine.given.new_prefixes)
    assert volume.rows == rows
    assert volume.pairs == rows + volume.queries, "a candidate is never the local context"


def test_pairs_that_are_known_cost_nothing(shards):
    rows = chosen_rows(shards[0][1], SCORING)
    wanted = wanted_pairs(rows)
    some = scoring_volume.volume_of(rows.num_rows, wanted, wanted.gather_every(4))
    none = scoring_volume.volume_of(rows.num_rows, wanted, wanted)
    assert some.pairs == none.pairs == len(wanted)
    assert some.new_pairs == len(wanted) - len(wanted.gather_every(4))
    assert (none.new_pairs, none.new_prefixes) == (0, 0)


def test_a_part_of_a_large_corpus_is_scaled_up(candidates, monkeypatch):
    exact, _ = scoring_volume.counted(candidates, SCORING)
    monkeypatch.setattr(scoring_volume, "COUNTED_ROWS", 1)
    part, whole = scoring_volume.counted(candidates, SCORING)
    assert not whole
    assert part.pairs == pytest.approx(exact.pairs, rel=0.1)


def test_an_estimate_from_lengths_is_near_what_is_counted(candidates, geometry):
    everything = SCORING.model_copy(update={"query_fraction": 1.0})
    lengths = [item for _ in range(3) for item in LENGTHS.items()]
    exact, _ = scoring_volume.counted(candidates, everything)
    guess = scoring_volume.estimated(lengths, geometry, everything)
    assert guess == exact
    sampled = scoring_volume.estimated(lengths, geometry, SCORING)
    assert sampled.pairs == pytest.approx(scoring_volume.counted(candidates, SCORING)[0].pairs, rel=0.15)


@pytest.mark.parametrize("full", [0, 1, 2, 16, 17])
def test_documents_too_short_for_any_query_ask_for_nothing(geometry, full):
    volume = scoring_volume.estimated([("train", full), ("test", min(full, 4))], geometry, SCORING)
    assert volume.pairs == volume.rows + volume.queries >= 0
    assert (volume.pairs == 0) == (full < 16)


def test_the_exhaustive_sample_is_counted_in_the_chunks_and_bounded_before(shards, geometry, tmp_path):
    for number, (table, _) in enumerate(shards):
        write_shard(CHUNKS, table, tmp_path / f"part-{number:05d}.parquet")
    commit(CHUNKS, tmp_path)
    sample = Exhaustive(queries=20, most_eligible=30, seed=0)
    evaluation = Evaluation(max_tokens_per_document=8 * 1000)
    volume = scoring_volume.exhaustive_sample(open_artifact(CHUNKS, tmp_path), geometry, evaluation, sample)
    most = scoring_volume.most_of_exhaustive(sample)
    assert volume.queries == most.queries == 20
    assert volume.new_pairs == volume.pairs == volume.rows + 20 < most.pairs == 20 * 31
    assert volume.new_prefixes < most.new_prefixes


def test_the_retrieved_sample_is_bounded_by_what_the_runs_read():
    recipes = [Recipe(), Recipe(cca_layers=(1,), neighbours=2), Recipe(cca_layers=(1,), neighbours=3)]
    assert scoring_volume.most_of_retrieved(Retrieved(queries=10), recipes) == Volume(10, 60, 70, 70, 70)
    assert scoring_volume.most_of_retrieved(Retrieved(queries=10), recipes[:1]) == Volume(10, 10, 20, 20, 20)
