"""The index: exact, without trivial passages, the same in blocks; and the probe that says how far it is
behind.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from data_contracts.failure import Failure
from model.baselines.bert_config import BertConfig
from model.baselines.realm import RealmConfig, first_parameters
from stages.realm import index
from stages.realm.index import Index, embed, recall
from stages.realm.optimizer import EMBEDDER, part_of
from stages.realm.refresh import Refresh, make_probe
from stages.realm.training import Architectures

BERT = BertConfig(
    24,
    16,
    1,
    2,
    32,
    max_position_embeddings=16,
    pad_token_id=20,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
CONFIG = RealmConfig(BERT, 8)
RNG = np.random.default_rng(0)
KEYS, QUERIES = RNG.normal(size=(30, 8)).astype(np.float32), RNG.normal(size=(3, 8)).astype(np.float32)
ROWS = RNG.integers(1, 20, (10, 6)).astype(np.int32)


def by_hand(query: int, left_out: set[int]) -> list[int]:
    order = sorted(range(30), key=lambda passage: -float(QUERIES[query] @ KEYS[passage]))
    return [passage for passage in order if passage not in left_out]


def test_what_is_found_is_what_is_nearest_without_what_is_trivial():
    best = [by_hand(query, set()) for query in range(3)]
    trivial = {0: set(best[0][1:3]), 1: set(best[1][:20]), 2: set(best[2][10:])}
    found = Index(KEYS).search(QUERIES, 4, lambda query, passage: passage in trivial[query])
    assert found.ids_BN.tolist() == [by_hand(query, trivial[query])[:4] for query in range(3)]
    assert found.trivial == 2 + 20
    with pytest.raises(Failure, match="question 1 has fewer than 11 of the 30 passages"):
        Index(KEYS).search(QUERIES, 11, lambda query, passage: passage in trivial[query])


def test_recall_is_a_share_of_the_truth():
    assert recall(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [4, 9]])) == 0.75


def test_blocks_change_nothing_and_vectors_that_are_not_finite_are_refused(monkeypatch):
    parameters, embedder = part_of(first_parameters(CONFIG, 0), EMBEDDER), Architectures.of(CONFIG).embedder
    whole = embed(embedder, parameters, ROWS)
    assert whole.shape == (10, 8)
    monkeypatch.setattr(index, "ROWS", 4)
    assert np.allclose(embed(embedder, parameters, ROWS), whole, atol=1e-6)
    broken = {**parameters, "projection.bias": jnp.full(8, jnp.nan)}
    with pytest.raises(ValueError, match="10 of 10 vectors of passages are not finite"):
        embed(embedder, broken, ROWS)


def test_a_probe_finds_everything_in_an_index_of_the_same_weights_and_little_in_one_of_others():
    embedder, rows = Architectures.of(CONFIG).embedder, RNG.integers(1, 20, (700, 6)).astype(np.int32)
    one, other = (part_of(first_parameters(CONFIG, seed), EMBEDDER) for seed in (0, 1))
    probe = make_probe(ROWS, rows, seed=0)
    assert probe.passages_XT.shape == (512, 6)
    assert np.array_equal(rows[probe.numbers_X], probe.passages_XT)
    assert probe.recall(embedder, one, embed(embedder, one, rows), 4) == 1.0
    assert probe.recall(embedder, one, embed(embedder, other, rows), 4) < 0.5


def test_when_a_refresh_is_wanted():
    every, adaptive, never = (Refresh(rule, 10, 0.8, 5, 2) for rule in ("every", "adaptive", "never"))
    assert [step for step in range(1, 31) if every.wanted(step, 0.0)] == [10, 20, 30]
    assert [adaptive.wanted(10, value) for value in (None, 0.8, 0.79)] == [False, False, True]
    assert not any(never.wanted(step, 0.0) for step in range(1, 31))
    assert [step for step in range(1, 16) if never.probed(step)] == [5, 10, 15]
