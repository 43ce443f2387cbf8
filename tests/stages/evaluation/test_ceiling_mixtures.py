"""What may be seen of the past, and that a mixture sums to 1, sees no future and has its weights from the
documents it is fitted on.
"""

import numpy as np
import pytest

from data_contracts.ceilings import MIXTURES
from data_contracts.eligibility import is_eligible
from stages.evaluation.ceiling_mixtures import (
    MADE_OF,
    Document,
    Mixer,
    Second,
    beyond_the_window,
    of_training_text,
)
from tests.tiny import tiny_geometry

GEOMETRY, VOCABULARY, WIDTH = tiny_geometry(), 12, 4
LENGTH = 8 * 20 + 3


def text(seed: int) -> np.ndarray:
    """Tokens of which every second stretch was there before."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, VOCABULARY, 16).tolist()
    while len(tokens) < LENGTH:
        begin = rng.integers(len(tokens) - 8)
        tokens += tokens[begin : begin + 8] + rng.integers(0, VOCABULARY, 8).tolist()
    return np.array(tokens[:LENGTH])


def document(seed: int) -> Document:
    rng = np.random.default_rng(seed)
    tokens = text(seed)
    states = np.eye(VOCABULARY, WIDTH, dtype=np.float32)[tokens[:-1]] + rng.normal(
        0, 0.1, (LENGTH - 1, WIDTH)
    ).astype(np.float32)
    losses = -np.log(rng.uniform(0.01, 0.2, LENGTH - 1)).astype(np.float32)
    return Document(tokens, losses, of_training_text(text(99), [tokens], VOCABULARY)[0], states)


@pytest.fixture(scope="module")
def mixer():
    return Mixer(GEOMETRY, VOCABULARY, "exact")


@pytest.fixture(scope="module")
def mixtures(mixer):
    return mixer.fit([document(1), document(2)])


def test_every_mixture_is_made_of_known_parts():
    assert set(MADE_OF) == set(MIXTURES)


def test_beyond_the_window_lie_the_eligible_chunks_and_those_that_continue_them():
    limits = beyond_the_window(LENGTH, GEOMETRY)
    for token, limit in enumerate(limits):
        eligible = [
            chunk
            for chunk in range(20)
            if token >= 8 and is_eligible(token // 8 - 1, chunk, GEOMETRY.stride_chunks)
        ]
        assert limit == (8 * (eligible[-1] + 2) if eligible else 0), token
        # All of it is out of sight: self-attention reaches back two strides at most.
        assert limit <= max(0, token - 2 * 8)
    assert limits[-1] > 100


def test_n_grams_of_the_training_text_are_those_of_each_document_alone():
    tokens = [text(3), text(4)]
    together = of_training_text(text(99), tokens, VOCABULARY)
    for found, ids in zip(together, tokens, strict=True):
        alone = of_training_text(text(99), [ids], VOCABULARY)[0]
        # The first few contexts reach back into what was laid before.
        assert found.probabilities_N[8:] == pytest.approx(alone.probabilities_N[8:])
        assert len(found.group_N) == LENGTH - 1


def test_repeated_text_is_predicted_better_and_the_whole_past_is_worth_more(mixer, mixtures):
    held = document(5)
    losses = {name: values.mean() for name, values in mixer.losses(held, mixtures).items()}
    assert set(losses) == set(MIXTURES)
    assert max(losses.values()) < held.losses_N.mean()
    assert losses["ngram_cache"] < losses["ngram_cache_beyond"] < held.losses_N.mean()
    assert losses["ngram_train_cache"] < losses["ngram_train"]


def test_nothing_of_the_future_is_seen(mixer, mixtures):
    held = document(5)
    tokens, states, losses = held.tokens_T.copy(), held.states_ND.copy(), held.losses_N.copy()
    tokens[100:] = (tokens[100:] + 1) % VOCABULARY
    # State n and loss n are of token n + 1.
    states[100:], losses[99:] = states[100:] + 1, losses[99:] + 1
    changed = Document(tokens, losses, of_training_text(text(99), [tokens], VOCABULARY)[0], states)
    for name, before in mixer.losses(held, mixtures).items():
        after = mixer.losses(changed, mixtures)[name]
        assert before[:99] == pytest.approx(after[:99], abs=1e-6), name
        assert (np.abs(before[99:] - after[99:]) > 1e-3).any()


def test_of_what_is_nearer_nothing_is_read_beyond_the_window(mixer, mixtures):
    held = document(5)
    limit, tokens, states = (
        beyond_the_window(LENGTH, GEOMETRY)[-1],
        held.tokens_T.copy(),
        held.states_ND.copy(),
    )
    # The context of the last token stays, and so does the state that predicts it. State n is of token n + 1.
    tokens[limit:-6] = (tokens[limit:-6] + 1) % VOCABULARY
    states[limit - 1 : -1] = held.states_ND[-1]
    changed = Document(tokens, held.losses_N, held.trained, states)
    before, after = (mixer.losses(one, mixtures) for one in (held, changed))
    for name in MIXTURES:
        nearer_is_read = name in ("ngram_cache", "ngram_train_cache", "knn_lm")
        assert (abs(before[name][-1] - after[name][-1]) > 1e-6) == nearer_is_read, name


def test_where_nothing_lies_beyond_the_window_the_model_is_alone(mixer, mixtures):
    held = document(5)
    nothing = beyond_the_window(LENGTH, GEOMETRY)[1:] == 0
    losses = mixer.losses(held, mixtures)
    for name in ("ngram_cache_beyond", "knn_lm_beyond"):
        assert (losses[name][nothing] == held.losses_N[nothing]).all()
        assert (losses[name][~nothing] != held.losses_N[~nothing]).any()
    # One stored token is there as soon as the limit lets it in.
    assert nothing.sum() == np.argmax(beyond_the_window(LENGTH, GEOMETRY)[1:] > 0)


def test_a_mixture_sums_to_one_over_the_vocabulary(mixer, mixtures):
    """The last token of a document, asked for as every token in turn, with a model whose distribution is
    known.
    """
    held, total = document(5), dict.fromkeys(MIXTURES, 0.0)
    model = np.random.default_rng(0).dirichlet(np.ones(VOCABULARY))
    for token in range(VOCABULARY):
        tokens, losses = held.tokens_T.copy(), held.losses_N.copy()
        tokens[-1], losses[-1] = token, -np.log(model[token])
        asked = Document(
            tokens,
            losses.astype(np.float64),
            of_training_text(text(99), [tokens], VOCABULARY)[0],
            held.states_ND,
        )
        for name, values in mixer.losses(asked, mixtures).items():
            total[name] += np.exp(-values[-1])
    for name, found in total.items():
        assert found == pytest.approx(1, abs=1e-6), name


def test_without_states_there_are_n_grams_alone(mixer, mixtures):
    losses = mixer.losses(document(5)._replace(states_ND=None), mixtures)
    assert set(losses) == {name for name in MIXTURES if name.startswith("ngram")}


def test_the_temperature_is_that_of_most_likelihood(mixer):
    sharp, flat = document(1), document(2)
    # Of states that lie by what follows them the nearest are right, of random ones the most that can be known
    # is how often a token is.
    sharp = sharp._replace(states_ND=np.eye(VOCABULARY, dtype=np.float32)[sharp.tokens_T[1:]])
    flat = flat._replace(
        states_ND=np.random.default_rng(3).normal(size=(LENGTH - 1, VOCABULARY)).astype(np.float32)
    )
    temperatures = [mixer.fit([one]).temperatures["knn_lm"] for one in (sharp, flat)]
    assert temperatures[0] < temperatures[1]
    assert mixer.fit([sharp]).weights["knn_lm"][0] > 0.9 > mixer.fit([flat]).weights["knn_lm"][0]


def test_a_control_that_knows_nothing_gets_no_weight(mixer):
    fitted = document(1)
    never = Second(np.zeros(LENGTH - 1), np.zeros(LENGTH - 1, int))
    assert mixer.fit([fitted._replace(trained=never)]).weights["ngram_train"][0] < 0.02
