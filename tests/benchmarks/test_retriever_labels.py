import numpy as np
import polars as pl
import pytest

from benchmarks._pair_features import LONGEST, NAMES, longest_ends, pair_features
from benchmarks.retriever_labels import FIGURES, PAIRS, compared, order_of, weights_of
from data_contracts.eligibility import is_eligible
from model.language_model import Batch
from stages.parameters import Mining

MINING = Mining(max_candidates=20, k1=1.5, b=0.75, epsilon=0.25, idf_scope="document", max_span=64)
STRIDE, CHUNKS, SIZE = 2, 10, 16


@pytest.fixture
def chunks_CM() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (CHUNKS, SIZE))


def eligible_CC() -> np.ndarray:
    return np.array([[is_eligible(i, j, STRIDE) for j in range(CHUNKS)] for i in range(CHUNKS)])


def test_longest_ends_against_a_search_in_strings(chunks_CM: np.ndarray) -> None:
    words = ["".join(map(str, chunk)) for chunk in chunks_CM]
    found = longest_ends(chunks_CM)
    for i, j in np.argwhere(eligible_CC()):
        # a match may begin in the chunk before: its last seven tokens stand in front
        place = (words[j - 1][-LONGEST + 1 :] if j else "") + words[j] + words[j + 1][:-1]
        ends = [k for k in range(1, LONGEST + 1) if words[i][-k:] in place]
        inside = [k for k in ends if words[i][-k:] in words[j] + words[j + 1][:-1]]
        assert max(inside, default=0) <= found[i, j] <= max(ends, default=0), (i, j)


def test_features_see_nothing_after_the_query(chunks_CM: np.ndarray) -> None:
    features, seen = pair_features(chunks_CM, STRIDE, MINING), eligible_CC()
    for query in range(4, CHUNKS - 1):
        other = chunks_CM.copy()
        other[query + 1 :] = 7
        changed = pair_features(other, STRIDE, MINING)
        np.testing.assert_allclose(changed[query][seen[query]], features[query][seen[query]], rtol=1e-6)


def test_weights_go_to_what_labels_depend_on() -> None:
    """Relevance is the fifth feature; the others are noise."""
    rng, sequences, seen = np.random.default_rng(0), 8, eligible_CC()
    features = rng.normal(size=(sequences, CHUNKS, CHUNKS, len(NAMES))).astype(np.float32)
    candidates = np.where(seen, np.arange(CHUNKS), -1)[None].repeat(sequences, axis=0).astype(np.int32)
    relevance = np.where(seen, features[..., 4], 0.0).astype(np.float32)
    labelled = seen.any(axis=1)[None].repeat(sequences, axis=0)
    nothing = np.zeros((sequences, 1), np.int32)
    batch = Batch(nothing, nothing, nothing > 0, candidates, relevance, labelled, labelled[:, 0])
    weights = np.asarray(weights_of(features, batch, relevance, order_of(sequences, 0), STRIDE))
    assert weights.argmax() == 4
    assert weights[4] > 3 * np.abs(np.delete(weights, 4)).max()


def test_differences_are_paired_and_leave_out_what_has_no_figure() -> None:
    keys = {"doc_id": ["a", "a", "b"], "chunk": [6, 7, 6]}
    values = {name: [1.0, 2.0, 3.0] for name in FIGURES}
    one = pl.DataFrame(keys | values)
    other = pl.DataFrame(keys | {name: [0.5, 1.5, None] for name in FIGURES})
    figures = compared({name: other for pair in PAIRS for name in pair} | {"semantic": one})
    assert figures["semantic_mean_score"] == 2.0
    assert figures["bm25_mean_score"] == 1.0
    for _, name in PAIRS:
        for end in ("", "_low", "_high"):
            assert figures[f"semantic_less_{name}_precision_at_2{end}"] == pytest.approx(0.5)
