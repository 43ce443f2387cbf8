"""The n-gram cache: by hand, against counts in dictionaries, sums to 1, and sees nothing of the future."""

from collections import defaultdict

import numpy as np
import pytest

from model.baselines.ngram_cache import DISCOUNT, LONGEST, ngram_cache

VOCABULARY = 5


def text(length: int, seed: int = 0) -> np.ndarray:
    """Tokens that repeat earlier spans, so that long contexts occur."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, VOCABULARY, 20).tolist()
    while len(tokens) < length:
        begin = rng.integers(len(tokens) - 8)
        tokens += tokens[begin : begin + rng.integers(2, 8)] + rng.integers(0, VOCABULARY, 1).tolist()
    return np.array(tokens[:length], np.uint16)


def lagging(length: int, lag: int) -> np.ndarray:
    """Limits that stand still for a while and then jump, always at least `lag` before the token."""
    return np.maximum(np.arange(length) // 16 * 16 - lag, 0)


def counted_one_by_one(tokens: list[int], limit: int, position: int, asked: int) -> tuple[float, int]:
    """The formula of the module for one token, from counts in dictionaries."""
    probability, longest = 1 / VOCABULARY, -1
    for length in range(LONGEST + 1):
        if length > position:
            break
        followers: dict[int, int] = defaultdict(int)
        for end in range(length, limit):
            if tokens[end - length : end] == tokens[position - length : position]:
                followers[tokens[end]] += 1
        if total := sum(followers.values()):
            different = sum(count > 0 for count in followers.values())
            probability = (max(followers[asked] - DISCOUNT, 0) + DISCOUNT * different * probability) / total
            longest = length
    return probability, longest


def test_a_few_tokens_by_hand():
    cached = ngram_cache(np.array([1, 2, 1, 2]), np.arange(4), VOCABULARY)
    # Nothing, then the uniform distribution with the mass that one discounted token leaves.
    once = 0.75 * 1 / 5
    # Past 1 2: two tokens seen once each, of which 1 is one.
    twice = (0.25 + 0.75 * 2 / 5) / 2
    # Past 1 2 1: 2 was seen once of three tokens, two of them different; then 1 was followed by 2, once.
    last = 0.25 + 0.75 * (0.25 + 0.75 * 2 / 5) / 3
    assert cached.probabilities_N == pytest.approx([1 / 5, once, twice, last])
    assert cached.lengths_N.tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize("lag", [0, 24])
def test_counts_are_those_of_dictionaries(lag):
    tokens = text(120)
    limits = np.arange(120) if lag == 0 else lagging(120, lag)
    asked = np.random.default_rng(1).integers(0, VOCABULARY, 120)
    for wanted in (tokens, asked):
        cached = ngram_cache(tokens, limits, VOCABULARY, wanted)
        for position in range(120):
            probability, longest = counted_one_by_one(
                tokens.tolist(), int(limits[position]), position, int(wanted[position])
            )
            assert cached.probabilities_N[position] == pytest.approx(probability, rel=1e-12), position
            assert cached.lengths_N[position] == longest
    assert {-1, LONGEST} <= {*cached.lengths_N}


@pytest.mark.parametrize("lag", [0, 24])
def test_it_sums_to_one_over_the_vocabulary(lag):
    tokens = text(400, seed=2)
    limits = np.arange(400) if lag == 0 else lagging(400, lag)
    total = sum(
        ngram_cache(tokens, limits, VOCABULARY, np.full(400, token)).probabilities_N
        for token in range(VOCABULARY)
    )
    assert np.abs(total - 1).max() < 1e-6


def test_nothing_of_the_future_and_nothing_after_the_limit_is_seen():
    tokens, limits = text(400, seed=3), lagging(400, 32)
    changed = tokens.copy()
    changed[200:] = (changed[200:] + 1) % VOCABULARY
    for of in (np.arange(400), limits):
        before, after = (ngram_cache(ids, of, VOCABULARY).probabilities_N for ids in (tokens, changed))
        assert (before[:200] == after[:200]).all()
        assert (before[200:] != after[200:]).any()
    # What lies between the limit and the context is not counted either.
    position = 399
    changed = tokens.copy()
    changed[limits[position] : position - LONGEST] = 0
    asked = [ngram_cache(ids, limits, VOCABULARY).probabilities_N[position] for ids in (tokens, changed)]
    assert asked[0] == asked[1]


def test_a_limit_beyond_its_token_is_refused():
    with pytest.raises(ValueError, match="count what it is to predict"):
        ngram_cache(text(30), np.arange(30) + 1, VOCABULARY)


def test_the_end_of_a_text_is_asked_with_counts_of_its_beginning():
    tokens = text(300, seed=4)
    limits = np.minimum(np.arange(300), 200)
    whole, end = ngram_cache(tokens, limits, VOCABULARY), ngram_cache(tokens, limits[200:], VOCABULARY)
    assert (end.probabilities_N == whole.probabilities_N[200:]).all()
    assert (end.lengths_N == whole.lengths_N[200:]).all()
