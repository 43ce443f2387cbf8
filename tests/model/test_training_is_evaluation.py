"""What training minimises, with neighbours that the model chose itself, is what the evaluation of a document measures."""

import jax
import numpy as np
import pytest

from model.language_model import Batch, Schedule
from stages.document_evaluation import DocumentReader, Request

CHUNKS = 14
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def model(make_model, two_layers):
    """Parameters of a size that gives losses of a few nats, so that 1e-5 is a few roundings of float32."""
    return make_model("rpt_sem", two_layers, 2.0)


@pytest.fixture(scope="module")
def batch(make_batch, two_layers) -> Batch:
    return make_batch(two_layers, chunks=CHUNKS, seed=5)


@pytest.fixture(scope="module")
def document(batch) -> np.ndarray:
    """The text of the training sequence: all inputs and the last target."""
    return np.append(batch.tokens_BL[0], batch.targets_BL[0, -1])


@pytest.fixture(scope="module")
def token_losses(model, batch, quick_jit) -> np.ndarray:
    """[L] loss of each token in training: the training loss with all other tokens masked, without teacher forcing."""

    def alone(mask_BL):
        return model.train_losses(batch._replace(loss_mask_BL=mask_BL), Schedule(1.0, 1.0, 1.0), KEY)[0]["lm"]

    length = batch.tokens_BL.shape[1]
    return np.asarray(quick_jit(lambda masks: jax.lax.map(alone, masks))(np.eye(length, dtype=bool)[:, None]))


@pytest.fixture(scope="module")
def evaluate(model, tmp_path_factory):
    """Tokens of a document -> how the evaluation stage reads it, but for the half precision of its memory."""
    reader = DocumentReader(model, ("own",), model.shape.neighbours, CHUNKS, "exact", tmp_path_factory.mktemp("scratch"), dtype=np.float32)
    return lambda tokens: next(reader.read([Request("d", tokens)]))


def test_every_token_has_the_same_loss(token_losses, evaluate, document) -> None:
    losses = evaluate(document).losses["own"]
    np.testing.assert_allclose(losses, token_losses, rtol=0, atol=1e-5)
    assert np.std(losses) > 0.1


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5])
def test_a_partial_last_chunk_has_the_same_losses(token_losses, evaluate, document, missing: int) -> None:
    losses = evaluate(document[:-missing]).losses["own"]
    np.testing.assert_allclose(losses, token_losses[:-missing], rtol=0, atol=1e-5)


def test_training_retrieves_what_the_memory_finds(model, evaluate, batch, document, quick_jit) -> None:
    encoded = quick_jit(lambda tokens: model.encode(tokens))(batch.tokens_BL)
    own = np.asarray(model.retrieve(encoded)[0])
    np.testing.assert_array_equal(own, evaluate(document).neighbours["own"][:CHUNKS])
    assert (own >= 0).all(axis=1).any()


def test_the_losses_depend_on_the_neighbours(model, token_losses, batch, quick_jit) -> None:
    """Otherwise equal losses would say nothing about equal retrieval."""

    def without_neighbours(tokens_BL, targets_BL):
        final = model.decode(model.encode(tokens_BL), np.full((1, CHUNKS, model.shape.neighbours), -1))
        return model.token_losses(final, targets_BL)[0]

    losses = quick_jit(without_neighbours)(batch.tokens_BL, batch.targets_BL)
    assert np.abs(losses - token_losses).max() > 1e-2
