"""What training minimises, with neighbours that the model chose itself, is what the evaluation of a document
measures.
"""

from dataclasses import replace

import jax
import numpy as np
import pytest

from model.language_model import Batch, Schedule
from stages.evaluation.documents import DocumentReader, Request
from tests.model.programs import compiled, losses_of_tokens, own_neighbours

CHUNKS = 14
KEY = jax.random.key(3)


@pytest.fixture(scope="module", params=[False, True], ids=["paper", "copying"])
def model(request: pytest.FixtureRequest, make_model, two_layers):
    """Parameters of a size that gives losses of a few nats, so that 1e-5 is a few roundings of float32."""
    return make_model("rpt_sem", replace(two_layers, copying=request.param), 1.0 if request.param else 2.0)


@pytest.fixture(scope="module")
def batch(make_batch, two_layers) -> Batch:
    return make_batch(two_layers, chunks=CHUNKS, seed=5)


@pytest.fixture(scope="module")
def document(batch) -> np.ndarray:
    """The text of the training sequence: all inputs and the last target."""
    return np.append(batch.tokens_BL[0], batch.targets_BL[0, -1])


@compiled
def losses_alone(model, batch: Batch, masks_LBL):
    """The training loss with all tokens masked but those of each mask, without teacher forcing."""
    return jax.lax.map(
        lambda mask_BL: model.train_losses(
            batch._replace(loss_mask_BL=mask_BL), Schedule(1.0, 1.0, 1.0), KEY
        )[0]["lm"],
        masks_LBL,
    )


@pytest.fixture(scope="module")
def token_losses(model, batch) -> np.ndarray:
    """[L] loss of each token in training."""
    return np.asarray(losses_alone(model, batch, np.eye(batch.tokens_BL.shape[1], dtype=bool)[:, None]))


@pytest.fixture(scope="module")
def evaluate(model, tmp_path_factory):
    """Tokens of a document -> how the evaluation stage reads it, but for the half precision of its memory."""
    reader = DocumentReader(
        model,
        ("own",),
        model.config.neighbours,
        CHUNKS,
        "exact",
        tmp_path_factory.mktemp("scratch"),
        dtype=np.float32,
    )
    return lambda tokens: next(reader.read([Request("d", tokens)]))


def test_every_token_has_the_same_loss(token_losses, evaluate, document) -> None:
    losses = evaluate(document).losses["own"]
    np.testing.assert_allclose(losses, token_losses, rtol=0, atol=1e-5)
    assert np.std(losses) > 0.1


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5])
def test_a_partial_last_chunk_has_the_same_losses(token_losses, evaluate, document, missing: int) -> None:
    losses = evaluate(document[:-missing]).losses["own"]
    np.testing.assert_allclose(losses, token_losses[:-missing], rtol=0, atol=1e-5)


def test_training_retrieves_what_the_memory_finds(model, evaluate, batch, document) -> None:
    own = np.asarray(own_neighbours(model, batch.tokens_BL)[0])
    np.testing.assert_array_equal(own, evaluate(document).neighbours["own"][:CHUNKS])
    assert (own >= 0).all(axis=1).any()


def test_the_losses_depend_on_the_neighbours(model, token_losses, batch) -> None:
    """Otherwise equal losses would say nothing about equal retrieval."""
    none = np.full((1, CHUNKS, model.config.neighbours), -1)
    losses = losses_of_tokens(model, batch.tokens_BL, batch.targets_BL, none)[0]
    assert np.abs(losses - token_losses).max() > 1e-2
