"""Search among vectors in a file: exact results, approximate ones with their recall, and what is refused."""

import numpy as np
import pytest

from stages.index import vectors
from stages.index.vectors import VectorIndex, build, read_graph, write_graph


@pytest.fixture(scope="module")
def keys() -> np.ndarray:
    """3,000 vectors in 60 clusters."""
    rng = np.random.default_rng(0)
    return (
        rng.standard_normal((60, 32))[rng.integers(60, size=3000)] + 0.3 * rng.standard_normal((3000, 32))
    ).astype(np.float32)


def by_hand(keys: np.ndarray, queries: np.ndarray, count: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    wide, asked = keys.astype(np.float64), queries.astype(np.float64)
    values = ((asked[:, None] - wide) ** 2).sum(axis=2) if metric == "l2" else asked @ wide.T
    order = np.argsort(values if metric == "l2" else -values, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(values, order, 1)


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_exact_search_finds_what_comparing_all_finds(metric, keys, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", 700)
    found, (ids, values) = (
        VectorIndex(keys, metric).search(keys[:40] + 0.01, 7),
        by_hand(keys, keys[:40] + np.float32(0.01), 7, metric),
    )
    np.testing.assert_array_equal(found.ids_Qk, ids)
    np.testing.assert_allclose(found.values_Qk, values, rtol=1e-5)


def test_ties_go_to_the_lower_number_and_equal_queries_have_equal_bytes(keys):
    twice = np.concatenate((keys[:50], keys[:50]))
    index = VectorIndex(twice)
    assert index.search(keys[:50], 2).ids_Qk.tolist() == [[row, row + 50] for row in range(50)]
    one, many = index.search(keys[7:8], 9), index.search(keys[:50], 9)
    assert one.values_Qk.tobytes() == many.values_Qk[7].tobytes()


@pytest.mark.parametrize("kind", ["ivf_pq", "hnsw"])
@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_an_approximate_index_finds_nearly_all_and_says_how_much(kind, metric, keys, tmp_path):
    for name in ("one", "again"):
        write_graph(build(keys, kind, metric, 0), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()
    index = VectorIndex(keys, metric, read_graph(tmp_path / "one"), probes=64)
    recall = index.recall(keys[:100], 10)
    assert 0.5 < recall <= 1
    found, exact = index.search(keys[:100], 10), index.search_exactly(keys[:100], 10)
    shared = [
        len(set(ours) & set(theirs))
        for ours, theirs in zip(found.ids_Qk.tolist(), exact.ids_Qk.tolist(), strict=True)
    ]
    assert recall == pytest.approx(sum(shared) / 1000)
    assert VectorIndex(keys, metric, read_graph(tmp_path / "one"), probes=1).recall(keys[:100], 10) < recall


def test_more_than_there_are(keys):
    assert VectorIndex(keys[:3]).search(keys[:2], 10).ids_Qk.shape == (2, 3)


def test_what_cannot_be_searched_is_refused_by_name(keys):
    index = VectorIndex(keys)
    with pytest.raises(ValueError, match="queries have 3 values, keys 32"):
        index.search(np.zeros((1, 3), np.float32), 1)
    with pytest.raises(ValueError, match="not finite"):
        index.search(np.full((1, 32), np.nan, np.float32), 1)
    with pytest.raises(ValueError, match="the index holds 3,000 keys, there are 5"):
        VectorIndex(keys[:5], "l2", build(keys, "hnsw", "l2", 0))
