import jax
import numpy as np
import pytest

from data_contracts.eligibility import last_eligible
from model.language_model import Schedule
from tests.model.programs import losses_of_tokens, train_losses


@pytest.fixture(scope="module")
def model(make_model, two_layers):
    return make_model("retro", two_layers)


@pytest.fixture(scope="module")
def loss_of(model):
    return lambda batch: train_losses(model, batch, Schedule(1.0, 0.0, 1.0), jax.random.key(0))[0]["lm"]


def test_training_uses_the_first_candidates(model, loss_of, make_batch, two_layers) -> None:
    batch = make_batch()
    given = losses_of_tokens(
        model, batch.tokens_BL, batch.targets_BL, batch.candidates_BCS[..., : two_layers.neighbours]
    ).mean()
    np.testing.assert_allclose(loss_of(batch), given, rtol=1e-6)
    reordered = batch._replace(candidates_BCS=batch.candidates_BCS[..., ::-1])
    assert abs(loss_of(reordered) - loss_of(batch)) > 1e-6


def test_a_candidate_that_is_not_eligible_is_not_read(loss_of, make_batch) -> None:
    batch = make_batch()
    none, future = batch.candidates_BCS.copy(), batch.candidates_BCS.copy()
    none[0, 8, 0], future[0, 8, 0] = -1, 9
    assert loss_of(batch._replace(candidates_BCS=future)) == loss_of(batch._replace(candidates_BCS=none))


def test_what_a_query_may_not_retrieve_is_no_neighbour(model, make_batch, two_layers) -> None:
    """Every query is offered every chunk of the sequence, also those that lie before it and too near."""
    batch = make_batch()
    chunks, stride = batch.candidates_BCS.shape[1], two_layers.stride_chunks
    for offered in range(-1, chunks):
        found = model.training_neighbours(
            batch._replace(candidates_BCS=np.full_like(batch.candidates_BCS, offered)), jax.random.key(0)
        )
        expected = [offered if offered <= last_eligible(query, stride) else -1 for query in range(chunks)]
        assert np.asarray(found)[0, :, 0].tolist() == expected
