"""The random control: RETRO's parameters, neighbours by chance."""

import jax
import numpy as np

from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import RANKING_LENGTH
from model.parameters import Architecture
from model.registry import PAPER_CONFIG, SYSTEMS
from stages.evaluation.rankings import random_rankings
from tests.model.programs import compiled


def test_it_has_the_parameters_of_retro():
    sizes = {
        name: Architecture.of(SYSTEMS[name].build, PAPER_CONFIG).parameter_sizes()
        for name in ("random", "retro")
    }
    assert sizes["random"] == sizes["retro"]


@compiled
def training_neighbours(model, batch, key):
    return model.training_neighbours(batch, key)


def test_training_draws_distinct_eligible_chunks_anew_with_every_key(make_model, make_batch, two_layers):
    model, batch = make_model("random", two_layers), make_batch()
    first, again, other = (
        np.asarray(training_neighbours(model, batch, jax.random.key(seed))) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    for chunk in range(first.shape[1]):
        eligible = max(0, last_eligible(chunk, two_layers.stride_chunks) + 1)
        for row in first[:, chunk]:
            drawn = row[row >= 0]
            assert len(set(drawn)) == len(drawn) == min(eligible, two_layers.neighbours)
            assert (drawn < eligible).all()


def test_every_eligible_chunk_is_drawn_equally_often(make_model, make_batch, two_layers):
    model, batch = make_model("random", two_layers), make_batch()
    chunk = batch.labelled_BC.shape[1] - 1
    eligible = last_eligible(chunk, two_layers.stride_chunks) + 1
    keys = jax.vmap(jax.random.key)(np.arange(300))
    drawn = compiled(
        lambda model, batch, keys: jax.lax.map(lambda key: model.training_neighbours(batch, key), keys)
    )(model, batch, keys)
    counts = np.bincount(np.asarray(drawn)[:, :, chunk].ravel(), minlength=eligible)
    expected = counts.sum() / eligible
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_the_test_time_ranking_depends_on_the_document_and_the_chunk_alone():
    best, near = (ranking.ids_CR for ranking in random_rankings("d", 60, 2, 40))
    assert np.array_equal(best[:30], random_rankings("d", 30, 2, 40).best.ids_CR)
    assert not np.array_equal(best, random_rankings("e", 60, 2, 40).best.ids_CR)
    for ranking, reach in ((best, 60), (near, 40)):
        for chunk, row in enumerate(ranking):
            eligible = range(max(0, chunk - reach), max(0, last_eligible(chunk, 2) + 1))
            named = row[row >= 0]
            assert len(set(named)) == len(named) == min(len(eligible), RANKING_LENGTH)
            assert set(named) <= set(eligible)
