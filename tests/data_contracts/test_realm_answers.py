"""Rows of REALM's answers that break a promise are refused; each case breaks exactly one."""

import pytest

from data_contracts.failure import Failure
from data_contracts.realm_answers import REALM_ANSWERS

GOOD = {
    "question": [0, 0],
    "method": ["null", "realm"],
    "doc_id": ["d"] * 2,
    "kind": ["name"] * 2,
    "sentence": ["He saw Emma there."] * 2,
    "answer": ["Emma"] * 2,
    "predicted": ["Anna", "Emma"],
    "exact": [False, True],
    "logprob": [-3.0, -1.0],
    "tokens": [1, 1],
    "passages": [[], [4, 2]],
    "prior": [[1.0], [0.25, 0.5, 0.25]],
    "answer_in": [False, True],
}


def answers(**changes):
    return REALM_ANSWERS.table({**GOOD, **changes}, updates=10)


def test_a_good_table_passes():
    REALM_ANSWERS.validate(answers(), "here")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": ["null", "oracle"]}, "unknown values of `method`"),
        ({"method": ["realm", "null"]}, "sorted"),
        ({"kind": ["name", "verb"]}, "unknown values of `kind`"),
        ({"logprob": [-3.0, 0.5]}, "not positive"),
        ({"logprob": [-3.0, float("-inf")]}, "finite"),
        ({"tokens": [1, 0]}, "without a token"),
        ({"prior": [[1.0], [0.25, 0.5, 0.5]]}, "sum to 1"),
        ({"prior": [[1.0], [0.5, 0.5]]}, "a value for the null document"),
    ],
)
def test_a_broken_promise_is_refused(change, reason):
    with pytest.raises(Failure, match=reason):
        REALM_ANSWERS.validate(answers(**change), "here")
