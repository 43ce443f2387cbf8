"""Labels and candidates that break a promise are refused; each case breaks exactly one."""

import pytest

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.failure import Failure

GOOD = {
    "doc_id": ["d"] * 4,
    "split": ["test"] * 4,
    "query_chunk": [8, 8, 9, 9],
    "candidate_chunk": [4, 0, 3, 2],
    "rank": [0, 1, 0, 1],
    "bm25": [2.0, 1.0, 3.0, 3.0],
}
FACTS = {"stride_chunks": 2, "sequence_chunks": 16}


def candidates(**changes):
    return CANDIDATES.table({**GOOD, "query_form": ["qt"] * 4, **changes}, **FACTS)


def labels(**changes):
    scores = {
        "candidate_logprob": [-1.0, -2.0, -3.0, -4.0],
        "local_logprob": [-2.0] * 4,
        "candidate_halves": [[-0.5, -0.5]] * 4,
        "local_halves": [[-1.0, -1.0]] * 4,
        "target_score": [1.0, 0.0, -1.0, -2.0],
    }
    return LABELS.table({**GOOD, **scores, **changes}, **FACTS, scorer={"engine": "jax"})


def test_good_tables_pass():
    CANDIDATES.validate(candidates(), "here")
    LABELS.validate(labels(), "here")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candidate_chunk": [5, 0, 3, 2]}, "can see"),
        ({"candidate_chunk": [-1, 0, 3, 2]}, "can see"),
        ({"rank": [0, 2, 0, 1]}, "ranks"),
        ({"bm25": [1.0, 2.0, 3.0, 3.0]}, "fall with rank"),
        ({"bm25": [float("nan"), 1.0, 3.0, 3.0]}, "finite"),
        ({"query_form": ["x"] * 4}, "query forms"),
        ({"query_chunk": [9, 9, 8, 8]}, "sorted"),
    ],
)
def test_broken_candidates_are_refused(change, reason):
    with pytest.raises(Failure, match=reason):
        CANDIDATES.validate(candidates(**change), "here")


def test_a_training_query_must_stay_in_its_sequence():
    shifted = {"split": ["train"] * 4, "query_chunk": [24, 24, 25, 25], "candidate_chunk": [20, 16, 19, 18]}
    CANDIDATES.validate(candidates(**shifted), "here")
    with pytest.raises(Failure, match="outside the query's pool"):
        CANDIDATES.validate(candidates(**{**shifted, "candidate_chunk": [20, 15, 19, 18]}), "here")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"target_score": [1.0, 0.0, -1.0, 5.0]}, "candidate_logprob - local_logprob"),
        (
            {"candidate_logprob": [1.0, -2.0, -3.0, -4.0], "target_score": [3.0, 0.0, -1.0, -2.0]},
            "not positive",
        ),
        ({"local_logprob": [float("-inf")] * 4}, "finite"),
    ],
)
def test_broken_labels_are_refused(change, reason):
    with pytest.raises(Failure, match=reason):
        LABELS.validate(labels(**change), "here")
