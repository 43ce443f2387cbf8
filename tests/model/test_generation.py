"""The next token is drawn from what an evaluation of the same text says of it, and drawing is fair."""

import numpy as np
import pytest

from model.generation import Continuation, drawn
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from model.streaming import Document, StreamingReader
from tests.tiny import tiny_config

CHUNKS, SLOTS = 10, 2


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(5).integers(0, 40, CHUNKS * 4 + 3)


def choices(memory: RetrievalIndex, slots: int, asked: list[int]):
    """The chooser of a reading and that of a continuation: the model's own where it has queries, else the
    chunks that lie farthest back.
    """

    def search(first: int, queries) -> np.ndarray:
        if queries is not None:
            return memory.search(first, queries, slots)[0]
        ids = np.arange(slots)[None] + 0 * np.arange(2)[:, None]
        return np.where(ids <= 2 * (first // 2 - 1) - 2, ids, -1).astype(np.int32)

    def choose(first: int, queries, text) -> np.ndarray:
        asked.append(len(text))
        return search(first, queries)

    return lambda first, queries: search(first, queries)[None], choose


@pytest.mark.parametrize(
    ("name", "copying"),
    [
        ("transformer_xl", False),
        ("griffin", False),
        ("memorizing_32k", False),
        ("retro", False),
        ("rpt_sem", False),
        ("rpt_sem", True),
    ],
)
def test_the_next_token_has_the_probability_that_an_evaluation_gives_it(
    name, copying, make_model, tokens, tmp_path
):
    model = make_model(name, tiny_config(copying=copying, zero_init_residuals=False), 2.0)
    slots = 0 if SYSTEMS[name].retriever == "none" else SLOTS
    read, written = (RetrievalIndex(model.config, CHUNKS + 2, tmp_path, dtype=np.float32) for _ in range(2))
    asked: list[int] = []
    reader = StreamingReader(model, 1, slots, slots)
    [(_, reading)] = reader.read(iter([Document(tokens, read, choices(read, slots, [])[0])]))
    text = Continuation(model, written, choices(written, slots, asked)[1], slots)
    # token by token over two borders of strides, and in one go up to the last
    for position in [*range(1, 18), 32, 33, 42]:
        text.take(tokens[len(text.tokens) : position])
        log_probs = text.log_probs()
        assert abs(np.exp(log_probs, dtype=np.float64).sum() - 1) < 1e-5
        expected = -reading.losses_ST[0, position - 1]
        assert log_probs[tokens[position]] == pytest.approx(expected, abs=2e-5), position
    assert max(asked) == 42, "no token after the last was seen"
    if slots:
        chosen = np.array(text.chosen())
        assert chosen.shape == (CHUNKS, slots)
        assert ((chosen >= 0).any(axis=1) == (np.arange(CHUNKS) >= 4)).all(), "two strides see nothing yet"


def test_a_document_needs_a_first_token(make_model, tmp_path):
    model = make_model("transformer_xl", tiny_config())
    text = Continuation(model, RetrievalIndex(model.config, 0, tmp_path), lambda *_: np.empty((2, 0)), 0)
    with pytest.raises(ValueError, match="first token"):
        text.log_probs()


def test_drawing_follows_temperature_and_nucleus():
    log_probs = np.log(np.array([0.1, 0.5, 0.3, 0.1], np.float32))
    rng = np.random.default_rng(0)

    def shares(temperature: float, top_p: float) -> np.ndarray:
        found = [drawn(log_probs, temperature, top_p, rng) for _ in range(4000)]
        return np.bincount(found, minlength=4) / 4000

    assert drawn(log_probs, 0, 1.0, rng) == 1
    np.testing.assert_allclose(shares(1.0, 1.0), [0.1, 0.5, 0.3, 0.1], atol=0.03)
    np.testing.assert_allclose(shares(1.0, 0.8), [0, 0.625, 0.375, 0], atol=0.03)
    np.testing.assert_allclose(shares(1.0, 0.4), [0, 1, 0, 0])
    sharper = np.array([0.01, 0.25, 0.09, 0.01]) / 0.36
    np.testing.assert_allclose(shares(0.5, 1.0), sharper, atol=0.03)
    assert drawn(np.array([-np.inf, 0.0], np.float32), 1.0, 1.0, rng) == 1
    assert drawn(log_probs, 1e-310, 1.0, rng) == 1
