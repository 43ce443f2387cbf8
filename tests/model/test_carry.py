"""Training that carries state over a document sees what its evaluation sees; where a document starts, nothing
of the one before is left.
"""

from dataclasses import replace

import jax
import numpy as np
import pytest

from model.language_model import Batch, Schedule
from model.parameters import parameters_of
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from model.streaming import Document, StreamingReader
from tests.model.programs import loss_and_gradients, train_losses
from tests.model.structures import STRUCTURES

CARRYING = [name for name in STRUCTURES if SYSTEMS[name].carry == "document"]
CHUNKS, SEGMENTS = 4, 5
SCHEDULE, KEY = Schedule(1.0, 0.0, 0.0), jax.random.key(0)


@pytest.fixture(scope="module")
def text(small):
    """[2, L + 1] tokens of two documents."""
    return np.random.default_rng(5).integers(
        0, small.vocabulary_size, (2, SEGMENTS * CHUNKS * small.chunk_tokens + 1)
    )


def segment(text, number: int, size: int, make_batch, small, starts) -> Batch:
    part = text[:, number * size : (number + 1) * size + 1].astype(np.int32)
    batch = make_batch(small, rows=len(text), chunks=CHUNKS)
    return batch._replace(tokens_BL=part[:, :-1], targets_BL=part[:, 1:], starts_B=np.array(starts))


def trained(model, text, starts_of, make_batch, small) -> np.ndarray:
    """The mean loss of each segment; `starts_of` says in which rows a document starts with it."""
    carried, losses, size = model.start(len(text)), [], CHUNKS * small.chunk_tokens
    for number in range(SEGMENTS):
        outcome = train_losses(
            model, segment(text, number, size, make_batch, small, starts_of(number)), SCHEDULE, KEY, carried
        )
        carried = outcome.carried
        losses.append(float(outcome.losses["lm"]))
    return np.array(losses)


@pytest.mark.parametrize(
    ("name", "copying"),
    [*((name, False) for name in (*CARRYING, "memorizing_32k_bucketed")), (CARRYING[0], True)],
)
def test_training_segment_by_segment_is_reading_the_whole_document(
    name, copying, make_model, small, text, make_batch, tmp_path
):
    model = make_model(name, replace(small, copying=copying), 1.0 if copying else 2.0)
    losses = trained(model, text, lambda number: [number == 0] * 2, make_batch, small)
    documents = (
        Document(row, RetrievalIndex(small, 0, tmp_path), lambda *_: np.full((1, 2, 0), -1)) for row in text
    )
    read = [reading.losses_ST[0] for _, reading in StreamingReader(model, 1, 0, 0).read(documents)]
    expected = np.mean(read, axis=0).reshape(SEGMENTS, -1).mean(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CARRYING)
def test_a_document_that_starts_is_read_as_if_nothing_were_before(name, make_model, small, text, make_batch):
    """The second row starts anew in the third segment, the first goes on."""
    model, size = make_model(name, scale=2.0), CHUNKS * small.chunk_tokens
    whole = trained(model, text[1:], lambda number: [number == 0], make_batch, small)
    cut = trained(model, text[1:], lambda number: [number in (0, 2)], make_batch, small)
    anew = trained(
        model, np.roll(text[1:], -2 * size, axis=1), lambda number: [number == 0], make_batch, small
    )
    assert abs(cut[2] - whole[2]) > 1e-4, "what was carried matters"
    np.testing.assert_allclose(cut[2:4], anew[:2], rtol=0, atol=1e-5)
    beside = trained(model, text, lambda number: [number == 0, number in (0, 2)], make_batch, small)
    first = trained(model, text[:1], lambda number: [number == 0], make_batch, small)
    np.testing.assert_allclose(2 * beside - cut, first, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", CARRYING)
def test_every_parameter_has_a_finite_gradient_that_is_not_zero(
    name, make_model, architecture_of, small, text, make_batch
):
    model, size = make_model(name, scale=2.0), CHUNKS * small.chunk_tokens
    architecture, parameters = architecture_of(name, small), parameters_of(model)
    total, carried = dict.fromkeys(parameters, 0.0), model.start(2)
    for number in range(2):
        batch = segment(text, number, size, make_batch, small, [number == 0] * 2)
        _, gradients, carried = loss_and_gradients(architecture, parameters, batch, SCHEDULE, KEY, carried)
        for path, gradient in gradients.items():
            assert np.isfinite(gradient).all(), path
            total[path] += float(np.abs(gradient).max())
    assert [path for path, most in total.items() if not most] == []


def test_a_system_that_is_not_trained_on_documents_says_so(make_model):
    with pytest.raises(TypeError, match="carries no state"):
        make_model("retro").start(1)
