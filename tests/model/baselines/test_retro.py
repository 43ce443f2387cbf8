import jax
import numpy as np

from model.language_model import Schedule


def test_training_uses_the_first_candidates(make_model, make_batch, two_layers, quick_jit) -> None:
    model, batch = make_model("retro", two_layers), make_batch()
    losses = quick_jit(lambda batch: model.train_losses(batch, Schedule(1.0, 0.0, 1.0), jax.random.key(0))[0]["lm"])
    given = quick_jit(lambda n: model.token_losses(model.decode(model.encode(batch.tokens_BL), n), batch.targets_BL).mean())
    np.testing.assert_allclose(losses(batch), given(batch.candidates_BCS[..., : two_layers.neighbours]), rtol=1e-6)
    reordered = batch._replace(candidates_BCS=batch.candidates_BCS[..., ::-1])
    assert abs(losses(reordered) - losses(batch)) > 1e-6


def test_a_candidate_that_is_not_eligible_is_not_read(make_model, make_batch, two_layers, quick_jit) -> None:
    model, batch = make_model("retro", two_layers), make_batch()
    losses = quick_jit(lambda batch: model.train_losses(batch, Schedule(1.0, 0.0, 1.0), jax.random.key(0))[0]["lm"])
    none, future = batch.candidates_BCS.copy(), batch.candidates_BCS.copy()
    none[0, 8, 0], future[0, 8, 0] = -1, 9
    assert losses(batch._replace(candidates_BCS=future)) == losses(batch._replace(candidates_BCS=none))
