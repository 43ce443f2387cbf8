"""A training step on what real batches hold: chunks with nothing to retrieve, chunks without a positive,
sequences that end early.
"""

import jax
import numpy as np
import optax
import pytest

from data_contracts.eligibility import last_eligible
from model.language_model import Batch, Schedule
from model.mesh import ONE_DEVICE
from model.parameters import parameters_of
from model.train_step import TrainState, train_step

KEY = jax.random.key(11)
KEEPS_GRADIENTS = optax.trace(decay=0.0)
WITHOUT_POSITIVE = 8  # a labelled chunk with candidates, none of which helps
# inputs of the second sequence: it ends inside chunk 9, so that chunk 8 is the last with a full chunk after
# it
LENGTH = 4 * 9 + 2


@pytest.fixture(scope="module")
def batch(make_batch, two_layers) -> Batch:
    """Two sequences of 12 chunks, the second one padded; of both, the first chunks have no eligible chunk,
    and no label.
    """
    batch = make_batch(two_layers, rows=2)
    scores, labelled, mask = batch.scores_BCS.copy(), batch.labelled_BC.copy(), batch.loss_mask_BL.copy()
    scores[:, WITHOUT_POSITIVE] = -np.abs(scores[:, WITHOUT_POSITIVE])
    first_with_any = next(query for query in range(12) if last_eligible(query, two_layers.stride_chunks) >= 0)
    assert first_with_any > 1
    labelled[0, :first_with_any] = False  # the other row keeps its labels, without candidates
    assert (batch.candidates_BCS[:, :first_with_any] == -1).all()
    labelled[1, 9:] = False
    mask[1, LENGTH:] = False
    return batch._replace(scores_BCS=scores, labelled_BC=labelled, loss_mask_BL=mask)


@pytest.fixture(scope="module")
def step(make_model, architecture_of, two_layers):
    """batch -> the gradient of every parameter, the updated parameters and the metrics of one
    training step.
    """
    architecture = architecture_of("rpt_sem", two_layers)

    def run(batch: Batch):
        parameters = parameters_of(make_model("rpt_sem", two_layers, 2.0))
        state = TrainState(
            parameters,
            KEEPS_GRADIENTS.init(parameters),
            np.zeros((), np.int32),
            None,
            architecture,
            KEEPS_GRADIENTS,
            ONE_DEVICE,
        )
        state, metrics = train_step(state, batch, Schedule(4.0, 1.0, 0.5), KEY)
        return jax.tree.map(np.asarray, (state.optimizer_state.trace, state.parameters, metrics))

    return run


@pytest.fixture(scope="module")
def stepped(step, batch):
    """What the batch as it is teaches."""
    return step(batch)


def with_other_padding(batch: Batch, vocabulary_size: int) -> Batch:
    """Other tokens, targets, candidates, huge scores and even labels where the second sequence is over."""
    rng = np.random.default_rng(17)
    arrays = {name: np.array(value) for name, value in batch._asdict().items() if value is not None}
    # The last real input predicts a real target, so both end with LENGTH.
    for name in ("tokens_BL", "targets_BL"):
        arrays[name][1, LENGTH:] = rng.integers(0, vocabulary_size, arrays[name].shape[1] - LENGTH)
    arrays["candidates_BCS"][1, 9:] = rng.integers(0, 9, arrays["candidates_BCS"][1, 9:].shape)
    arrays["scores_BCS"][1, 9:] = 1e4
    arrays["labelled_BC"][1, 10:] = True
    return Batch(**arrays)


def test_gradients_parameters_and_metrics_are_finite(stepped) -> None:
    gradients, parameters, metrics = stepped
    for value in jax.tree.leaves((gradients, parameters, metrics)):
        assert np.isfinite(value).all()
    assert metrics["ranking_loss"] > 0
    still = {path for path, gradient in gradients.items() if np.abs(gradient).max() < 1e-6}
    assert still == {"retriever.key_projection.bias"}, "the one parameter that moves no loss"


def test_gradients_do_not_depend_on_what_stands_in_the_padding(step, stepped, batch, two_layers) -> None:
    other = with_other_padding(batch, two_layers.vocabulary_size)
    assert (other.tokens_BL != batch.tokens_BL).any()
    gradients, _, metrics = stepped
    others, _, other_metrics = step(other)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(
            others[path], gradient, rtol=0, atol=1e-6 * max(1.0, np.abs(gradient).max()), err_msg=path
        )
    for name in metrics:
        np.testing.assert_allclose(other_metrics[name], metrics[name], rtol=1e-6, err_msg=name)


def test_a_change_of_the_last_real_token_is_seen(step, stepped, batch, two_layers) -> None:
    """So the comparison above is not blind."""
    tokens = batch.tokens_BL.copy()
    tokens[1, LENGTH - 1] = (tokens[1, LENGTH - 1] + 1) % two_layers.vocabulary_size
    change = step(batch._replace(tokens_BL=tokens))[0]["embedding.table"] - stepped[0]["embedding.table"]
    assert np.abs(change).max() > 1e-3


def test_a_chunk_without_positive_teaches_nothing(step, stepped, batch) -> None:
    """Unlabelled, it changes the ranking loss by its share of the mean alone."""
    labelled = batch.labelled_BC.copy()
    labelled[0, WITHOUT_POSITIVE] = False
    before, after = stepped[2]["ranking_loss"], step(batch._replace(labelled_BC=labelled))[2]["ranking_loss"]
    count = batch.labelled_BC.sum()
    np.testing.assert_allclose(before * count, after * (count - 1), rtol=1e-6)
