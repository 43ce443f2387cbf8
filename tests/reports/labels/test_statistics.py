"""The statistics of a label set against loops over its rows; parts against the whole; and sets with next to
nothing in them.
"""

import itertools
import json
import shutil
from collections import defaultdict
from dataclasses import asdict
from math import comb

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.candidates import LABELS
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS, SPLITS
from data_contracts.tokens import CHUNKS
from reports.labels.label_set import open_label_set
from reports.labels.report import LabelStatistics, Sharing
from reports.labels.rows import shards_of
from reports.labels.statistics import _enough, label_statistics, no_statistics
from reports.labels.sums import BIN, _best_of_some, _counted
from reports.metrics.figures_file import as_json
from reports.metrics.near_copies import GRAM
from reports.metrics.resampling import Estimate, Sums


@pytest.fixture(scope="module")
def statistics(label_set):
    return label_statistics(label_set, 100)[0]


@pytest.fixture(scope="module")
def queries(label_set):
    """{split: [(doc_id, query, [(candidate, rank, score in nats a token, copied)])]}, read row by row."""
    rows = pl.read_parquet(label_set.directory / "*.parquet").sort("doc_id", "query_chunk", "rank")
    found = defaultdict(list)
    for (doc_id, query), part in rows.group_by("doc_id", "query_chunk", maintain_order=True):
        tokens = label_set.chunks(doc_id)["token_ids"].to_list()
        target = {tuple(tokens[query + 1][at : at + GRAM]) for at in range(64 - GRAM + 1)}
        pairs = []
        for candidate, rank, score in part.select("candidate_chunk", "rank", "target_score").iter_rows():
            pair = tokens[candidate] + tokens[candidate + 1]
            shared = sum(
                gram in {tuple(pair[at : at + GRAM]) for at in range(128 - GRAM + 1)} for gram in target
            )
            pairs.append((candidate, rank, score / 64, shared / len(target)))
        found[part["split"][0]].append((doc_id, query, pairs))
    return dict(found)


def near(value):
    return pytest.approx(value, abs=2e-6)


@pytest.mark.parametrize("split", SPLITS)
def test_counts_rates_and_means(statistics, queries, split):
    found, scores = statistics.splits[split], [pair[2] for _, _, pairs in queries[split] for pair in pairs]
    assert found.documents == len({doc_id for doc_id, _, _ in queries[split]})
    assert (found.queries, found.pairs) == (len(queries[split]), len(scores))
    assert found.positives == sum(score > 0 for score in scores)
    assert found.positive_rate.value == near(np.mean(np.array(scores) > 0))
    assert found.mean_score.value == near(np.mean(scores))


@pytest.mark.parametrize("split", SPLITS)
def test_figure_5_and_what_the_order_is_worth(statistics, queries, split):
    rows = statistics.splits[split].best_by_k
    assert [row.k for row in rows] == list(range(1, 9))
    for row in rows:
        best = [max(score for _, rank, score, _ in pairs if rank < row.k) for _, _, pairs in queries[split]]
        orders = [
            np.mean(
                [
                    max(some)
                    for some in itertools.combinations([pair[2] for pair in pairs], min(row.k, len(pairs)))
                ]
            )
            for _, _, pairs in queries[split]
        ]
        assert row.value == near(np.mean(best))
        assert row.order_gain.value == near(np.mean(best) - np.mean(orders))
        assert row.low <= row.value <= row.high
    assert rows[-1].order_gain == Estimate(0.0, near(0.0), near(0.0))


@pytest.mark.parametrize("split", SPLITS)
def test_two_candidates(statistics, queries, split):
    found = statistics.splits[split].two
    by_rank = [[pair[2] for pair in pairs][:2] for _, _, pairs in queries[split]]
    by_score = [sorted((pair[2] for pair in pairs), reverse=True)[:2] for _, _, pairs in queries[split]]
    expected = {
        "best_of_bm25": np.mean([max(two) for two in by_rank]),
        "best_of_all": np.mean([max(two) for two in by_score]),
        "mean_of_bm25": np.mean([np.mean(two) for two in by_rank]),
        "mean_of_best": np.mean([np.mean(two) for two in by_score]),
    }
    assert {name: getattr(found, name).value for name in expected} == {
        name: near(value) for name, value in expected.items()
    }
    assert found.lead_of_best.value == near(expected["best_of_all"] - expected["best_of_bm25"])
    assert found.lead_of_mean.value == near(expected["mean_of_best"] - expected["mean_of_bm25"])


@pytest.mark.parametrize("split", SPLITS)
def test_rates_by_rank_distance_and_position(statistics, queries, split):
    found = statistics.splits[split]
    pairs = [
        (rank + 1, query - candidate, query, score > 0)
        for _, query, some in queries[split]
        for candidate, rank, score, _ in some
    ]
    for kind, inside in {
        "by_rank": lambda row, pair: pair[0] == row.rank,
        "by_distance": lambda row, pair: row.start <= pair[1] <= row.end,
        "by_position": lambda row, pair: row.start <= pair[2] / 24 < row.end,
    }.items():
        assert sum(row.pairs for row in getattr(found, kind)) == len(pairs)
        for row in getattr(found, kind):
            own = [positive for *place, positive in pairs if inside(row, place)]
            assert (row.pairs, row.value) == (len(own), near(np.mean(own)))


@pytest.mark.parametrize("split", SPLITS)
def test_copies(statistics, queries, split):
    found = statistics.splits[split].copies
    pairs = [(score, share) for _, _, some in queries[split] for _, _, score, share in some]
    copied, others = [pair for pair in pairs if pair[1] >= 0.5], [pair[0] for pair in pairs if pair[1] < 0.5]
    assert found.pairs == len(copied) > 0
    assert found.verbatim == sum(share == 1 for _, share in copied)
    assert found.share.value == near(len(copied) / len(pairs))
    assert found.of_positives.value == near(
        sum(score > 0 for score, _ in copied) / sum(score > 0 for score, _ in pairs)
    )
    assert found.of_best.value == near(
        np.mean([max(some, key=lambda pair: pair[2])[3] >= 0.5 for _, _, some in queries[split]])
    )
    assert found.positive_rate.value == near(np.mean([score > 0 for score, _ in copied]))
    assert found.mean_score.value == near(np.mean([score for score, _ in copied]))
    assert found.positive_rate_without.value == near(np.mean(np.array(others) > 0))
    assert found.mean_score_without.value == near(np.mean(others))


@pytest.mark.parametrize("split", SPLITS)
def test_histograms_count_every_score_once(statistics, queries, split):
    rows = statistics.splits[split].histogram
    scores = np.array([pair[2] for _, _, some in queries[split] for pair in some])
    best = np.array([max(pair[2] for pair in some) for _, _, some in queries[split]])
    assert (sum(row.pairs for row in rows), sum(row.best for row in rows)) == (len(scores), len(best))
    for row in rows:
        assert row.pairs == ((scores > row.start) & (scores <= row.end)).sum()
        assert row.best == ((best > row.start) & (best <= row.end)).sum()


def test_prefixes_are_shared_within_a_document(statistics, queries):
    prefixes, pairs = set(), 0
    for doc_id, query, some in itertools.chain(*queries.values()):
        prefixes |= {(doc_id, query - 2), *((doc_id, candidate) for candidate, *_ in some)}
        pairs += 1 + len(some)
    sharing = statistics.sharing
    assert (sharing.documents, sharing.pairs, sharing.prefixes) == (20, pairs, len(prefixes))
    assert sharing.rate == near(1 - len(prefixes) / pairs)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7), st.integers(1, 9))
def test_the_best_of_some_in_any_order(scores, most):
    weights = _best_of_some(len(scores), most)
    assert weights.sum(axis=0) == pytest.approx(np.ones(most))
    for k in range(1, most + 1):
        some = list(itertools.combinations(scores, min(k, len(scores))))
        assert len(some) == comb(len(scores), min(k, len(scores)))
        assert np.sort(scores) @ weights[:, k - 1] == pytest.approx(
            np.mean([max(chosen) for chosen in some]), abs=1e-9
        )


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=50))
def test_bins_keep_the_sign(scores):
    counts = _counted(np.array(scores))
    assert counts.sum() == len(scores)
    assert counts[len(counts) // 2 :].sum() == sum(score > 0 for score in np.ceil(np.array(scores) / BIN))


def test_the_same_seed_gives_the_same_bytes(label_set, statistics):
    again = label_statistics(label_set, 100)[0]
    assert as_json(again) == as_json(statistics)
    assert label_statistics(label_set, 100, seed=1)[0] != statistics


def test_shards_together_are_the_whole(label_sample, tmp_path):
    parts = label_sample.made_up_set(tmp_path / "parts", shards=4)
    for contract in (DOCUMENTS, CHUNKS, LABELS):
        target = tmp_path / "whole" / contract.name
        target.mkdir(parents=True)
        write_shard(
            contract,
            open_artifact(contract, parts.directory.with_name(contract.name)).read_all(),
            target / "part-00000.parquet",
        )
        commit(contract, target)
    whole = open_label_set(tmp_path / "whole" / "labels", tmp_path / "cache")
    assert len(list(shards_of(parts))) == 4
    found, expected = (label_statistics(some, 2000) for some in (parts, whole))
    assert found[1].rows() == expected[1].rows()
    assert found[0].sharing == expected[0].sharing
    compare(*(asdict(some)["splits"] for some, _ in (found, expected)))


def compare(found, expected, path=()):
    """Equal but for the ends of intervals, which come from other draws."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            compare(found[key], value, (*path, key))
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for place, value in enumerate(expected):
            compare(found[place], value, (*path, place))
    elif path[-1] in ("low", "high"):
        assert found == pytest.approx(expected, abs=0.02), path
    elif path[-1] != "verdict":
        assert found == (near(expected) if isinstance(expected, float) else expected), path


def changed(label_sample, place, change, **sizes):
    """A made-up label set whose label rows `change` has changed."""
    label_set = label_sample.made_up_set(place, **sizes)
    artifact = open_artifact(LABELS, label_set.directory)
    for shard in artifact.shards:
        table = artifact.read(shard)
        frame = change(pl.DataFrame(pl.from_arrow(table)))
        rows = LABELS.table(
            {name: frame[name].to_arrow() for name in frame.columns} | _halves(frame), **_facts(table)
        )
        write_shard(LABELS, rows, label_set.directory / shard)
    commit(LABELS, label_set.directory)
    shutil.rmtree(place / "cache")
    return open_label_set(label_set.directory, place / "cache")


def _facts(table):
    return {
        key.decode()[4:]: json.loads(value) for key, value in table.schema.metadata.items() if key in FACTS
    }


FACTS = {b"rpt.stride_chunks", b"rpt.sequence_chunks", b"rpt.scorer"}


def _halves(frame):
    return {
        name: pa.FixedSizeListArray.from_arrays(frame[name].to_numpy().ravel().astype(np.float32), 2)
        for name in ("candidate_halves", "local_halves")
    }


def with_score(score):
    """Every s_t is `score`."""
    return lambda rows: rows.with_columns(
        candidate_logprob=pl.lit(-100.0 + score, pl.Float32), local_logprob=pl.lit(-100.0, pl.Float32)
    ).with_columns(target_score=pl.col("candidate_logprob") - pl.col("local_logprob"))


def test_one_document_has_an_interval_from_its_blocks(label_sample, tmp_path):
    found = label_statistics(label_sample.made_up_set(tmp_path, documents=1, chunks=200, shards=1), 200)[0]
    assert list(found.splits) == ["train"]
    rate = found.splits["train"].positive_rate
    assert found.splits["train"].documents == 1
    assert rate.low < rate.value < rate.high


def test_one_candidate_a_query(label_sample, tmp_path):
    found = label_statistics(label_sample.made_up_set(tmp_path, candidates=1), 20)[0].splits["train"]
    assert [row.k for row in found.best_by_k] == [1]
    assert found.enough.verdict == "unknown"
    assert found.two.best_of_bm25 == found.two.mean_of_best == found.two.best_of_all


def test_equal_scores_gain_nothing(label_sample, tmp_path):
    found = label_statistics(changed(label_sample, tmp_path, with_score(32.0)), 20)[0].splits["train"]
    assert {row.value for row in found.best_by_k} == {0.5}
    assert {row.order_gain.value for row in found.best_by_k} == {0.0}
    assert found.enough.verdict == "yes"
    assert found.enough.share == Estimate(None, None, None)
    assert found.positive_rate == Estimate(1.0, 1.0, 1.0)


def test_without_a_positive_shares_of_positives_are_unknown(label_sample, tmp_path):
    found, chosen = label_statistics(changed(label_sample, tmp_path, with_score(-32.0)), 20)
    assert found.splits["train"].positives == 0
    assert found.splits["train"].copies.of_positives == Estimate(None, None, None)
    assert set(chosen["kind"]) == {"worst", "copy"}


def test_a_split_without_labels_is_left_out(label_sample, tmp_path):
    found = label_statistics(
        changed(label_sample, tmp_path, lambda rows: rows.filter(pl.col("split") != "test")), 20
    )[0]
    assert list(found.splits) == ["train", "validation"]


def test_nothing_at_all():
    assert no_statistics() == LabelStatistics({}, Sharing(documents=0, pairs=0, prefixes=0, rate=None))


RISING = np.arange(20.0)


@pytest.mark.parametrize(
    ("best", "spread", "verdict"),
    [
        (1 - 0.5**RISING, 1e-4, "yes"),
        (RISING, 1e-4, "no"),
        (np.where(RISING < 15, RISING / 14, 1 + 0.111 * (RISING - 14) / 5), 0.1, "open"),
        (RISING[:6], 1e-4, "unknown"),
        (RISING[:7], 1e-4, "no"),
        (np.ones(9), 0.0, "yes"),
    ],
)
def test_the_verdict_on_k(best, spread, verdict):
    rng = np.random.default_rng(0)
    sums = Sums(50, {"best": len(best), "queries": 1}, 400, rng)
    sums.add(
        np.arange(50), {"best": best + spread * rng.normal(size=(50, len(best))), "queries": np.ones((50, 1))}
    )
    assert _enough(sums, len(best)).verdict == verdict
