"""REALM: the marginal and its gradient against float64 by hand, who sees whom, what padding changes, and
where gradients arrive.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.baselines.bert_config import BertConfig
from model.baselines.realm import (
    Batch,
    Outcome,
    Realm,
    RealmConfig,
    first_parameters,
    log_marginal,
    log_prior,
    mean_over_tokens,
    read_rows,
    utility,
)
from model.parameters import Architecture
from tests.model.programs import compiled

BERT = BertConfig(
    24,
    16,
    2,
    2,
    32,
    max_position_embeddings=16,
    pad_token_id=20,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
CONFIG = RealmConfig(BERT, 8)
PAD, FIRST, BETWEEN, MASK = 20, 21, 22, 23
RNG = np.random.default_rng(0)
QUERIES, PASSAGES = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 3, 5))
GIVEN = -RNG.exponential(2.0, size=(2, 3, 4))
WEIGHTS = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], float)


def loss_by_hand(queries: np.ndarray, passages: np.ndarray, given: np.ndarray) -> float:
    """Equation 1 for one masked token after the other, with plain sums of probabilities."""
    terms = []
    for b in range(2):
        scores = np.array([queries[b] @ passages[b, n] for n in range(3)])
        prior = np.exp(scores) / np.exp(scores).sum()
        for a in range(4):
            if WEIGHTS[b, a]:
                terms.append(np.log(sum(prior[n] * np.exp(given[b, n, a]) for n in range(3))))
    return -float(np.mean(terms))


@jax.jit
def loss(queries, passages, given):
    return -mean_over_tokens(log_marginal(log_prior(queries, passages), given), jnp.asarray(WEIGHTS))


def test_the_marginal_and_its_gradient_are_those_by_hand():
    arrays = QUERIES, PASSAGES, GIVEN
    with jax.enable_x64(True):
        found, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(*arrays)
    assert float(found) == pytest.approx(loss_by_hand(*arrays), rel=1e-6)  # scores are float32 always
    for number, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        for place in np.ndindex(array.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [values.copy() for values in arrays]
                moved[number][place] += step
                ends.append(loss_by_hand(*moved))
            assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)


def test_utility_is_what_retrieval_adds_to_the_null_document():
    prior = np.log(np.array([[0.5, 0.25, 0.25]]))
    given = np.log(np.array([[[0.1], [0.5], [0.1]]]))
    found = utility(Outcome(prior, given, log_marginal(prior, given)))
    assert float(found[0, 0]) == pytest.approx(np.log(0.2 / 0.1))


def made_batch(fill: int = 0) -> Batch:
    """Two queries of different length with the null document and two passages; `fill` more columns of
    padding.
    """
    queries, passages = [[1, MASK, 2, MASK], [3, MASK]], [[], [4, 5, 6], [7, 8]]

    def row(tokens: list[int], length: int) -> list[int]:
        return [*tokens, *[PAD] * (length + fill - len(tokens))]

    read = [[[FIRST, *query, BETWEEN, *passage, BETWEEN] for passage in passages] for query in queries]
    types = [[[0] * (len(query) + 2) + [1] * (len(passage) + 1) for passage in passages] for query in queries]
    arrays = (
        np.array([row([FIRST, *query, BETWEEN], 6) for query in queries]),
        np.array([[row([FIRST, *passage, BETWEEN], 5) for passage in passages]] * 2),
        np.array([[row(one, 10) for one in of] for of in read]),
        np.array([[one + [0] * (10 + fill - len(one)) for one in of] for of in types]),
        np.array([[2, 4], [2, 0]]),
        np.array([[9, 10], [11, 0]]),
        np.array([[1.0, 1.0], [1.0, 0.0]]),
    )
    return Batch(*map(jnp.asarray, arrays))


@pytest.fixture(scope="module")
def model() -> Realm:
    return Architecture.of(Realm, CONFIG).model(
        {path: 3 * value for path, value in first_parameters(CONFIG, 0).items()}
    )


@compiled
def outcome(model, batch):
    return model(batch)


@compiled
def log_probabilities(model, batch):
    return read_rows(model.reader, batch)


def changed(batch: Batch, row: int, candidate: int, place: int, token: int) -> Batch:
    return batch._replace(read_BNR=batch.read_BNR.at[row, candidate, place].set(token))


def test_the_reader_sees_what_comes_before_and_after_and_its_own_passage_alone(model):
    batch = made_batch()
    before = np.asarray(log_probabilities(model, batch))
    assert np.allclose(np.exp(before).sum(axis=-1), 1.0, atol=1e-5)
    for place, what in ((1, "before the mask"), (3, "between the masks"), (7, "in the passage")):
        after = np.asarray(log_probabilities(model, changed(batch, 0, 1, place, 12)))
        assert np.abs(after[0, 1] - before[0, 1]).max(axis=-1).min() > 1e-4, what
        for row, candidate in ((0, 0), (0, 2), (1, 1)):
            assert np.array_equal(after[row, candidate], before[row, candidate]), what


def test_the_reader_is_told_which_tokens_are_the_passage(model):
    batch = made_batch()
    without = batch._replace(types_BNR=jnp.zeros_like(batch.types_BNR))
    assert (
        np.abs(
            np.asarray(log_probabilities(model, batch)) - np.asarray(log_probabilities(model, without))
        ).max()
        > 1e-4
    )


def test_padding_changes_nothing(model):
    for one, other in zip(outcome(model, made_batch()), outcome(model, made_batch(fill=4)), strict=True):
        assert np.allclose(one, other, atol=2e-6)


def test_gradients_reach_embedder_and_reader_but_not_through_tokens_that_do_not_count():
    architecture, parameters = Architecture.of(Realm, CONFIG), first_parameters(CONFIG, 0)

    @jax.jit
    def gradients(parameters, batch):
        return jax.grad(
            lambda values: -mean_over_tokens(architecture.model(values)(batch).marginal_BA, batch.weights_BA)
        )(parameters)

    found = gradients(parameters, made_batch())
    for part in (
        "embedder.projection.kernel",
        "embedder.bert.layers.0.value.kernel",
        "reader.transform.kernel",
        "reader.bert.words.table",
    ):
        assert np.abs(found[part]).max() > 0, part
    other = made_batch()
    other = other._replace(answers_BA=other.answers_BA.at[1, 1].set(15))
    for path, gradient in gradients(parameters, other).items():
        assert np.array_equal(gradient, found[path]), path


def test_the_null_document_is_scored_by_the_embedder_and_no_constant(model):
    batch = made_batch()
    one, other = (
        np.asarray(outcome(model, part).prior_BN)
        for part in (batch, batch._replace(queries_BT=batch.queries_BT[::-1]))
    )
    assert np.allclose(np.exp(one).sum(axis=1), 1.0, atol=1e-6)
    assert np.allclose(one[::-1], other, atol=1e-6)
    assert abs(one[0, 0] - one[1, 0]) > 1e-4
