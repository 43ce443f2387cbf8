"""Training with an index that moves: when it is built anew, that the result does not depend on how long that
takes, and what is kept.
"""

import io
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from model.parameters import Architecture
from stages.realm.building import on_ray
from stages.realm.index import embed
from stages.realm.realm import train_realm
from stages.realm.start import make_realm_start
from stages.runner.messages import Messages
from tests.stages.realm.conftest import GEOMETRY, write_corpus
from tests.stages.realm.tales import places
from tests.tiny import tiny_context, tiny_realm, tiny_realm_start


def here(config, rows):
    """Builds the index in this process, at once."""
    from model.baselines.realm import Embedder

    def build(parameters):
        keys = embed(Architecture.of(Embedder, config), parameters, np.load(rows))
        return lambda: keys

    return build


def later(config, rows):
    """The same, but not before somebody waits for it."""
    at_once = here(config, rows)
    return lambda parameters: lambda: at_once(parameters)()


def trained(context, builder=here, **changes) -> list[dict]:
    train_realm(context, GEOMETRY, tiny_realm(**changes), builder)
    return [
        json.loads(line) for line in (context.scratch / "realm" / "losses.jsonl").read_text().splitlines()
    ]


def test_the_index_is_built_from_the_weights_of_a_fixed_update_and_takes_over_at_another(context_of):
    rows = trained(context_of("every"))
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["version"] for row in rows] == [1] * 6 + [2] * 4 + [3] * 2
    assert [row["built_from"] for row in rows] == [0] * 6 + [4] * 4 + [8] * 2
    assert [row["step"] for row in rows if "recall" in row] == [3, 6, 9, 12]
    assert [row["step"] for row in rows if "old_recall" in row] == [7, 11]
    assert min(row["recall"] for row in rows if "recall" in row) < 1.0, (
        "an index is behind the weights of now"
    )


def test_how_long_building_takes_changes_no_bit(context_of):
    at_once, waiting = context_of("at once"), context_of("waiting")
    assert trained(at_once) == trained(waiting, later)
    files = [context.scratch / "realm" / "model.safetensors" for context in (at_once, waiting)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_never_is_never_and_adaptive_is_when_recall_is_low(context_of):
    never, adaptive = (
        trained(context_of("never"), refresh="never"),
        trained(context_of("adaptive"), refresh="adaptive"),
    )
    assert {row["version"] for row in never} == {1}
    begun = [row["step"] for row in adaptive if row.get("recall", 1.0) < 0.9]
    built = sorted({row["built_from"] for row in adaptive} - {0})
    assert built
    assert set(built) <= set(begun)
    fine = trained(context_of("fine"), refresh="adaptive", recall_bound=1e-9)
    assert {row["version"] for row in fine} == {1}


class Stopped(Messages):
    """Messages that interrupt the work at some update, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        super().__init__(io.StringIO())
        self.step = step

    def progress(self, done, total, unit, detail="") -> None:
        if (done, unit) == (self.step, "updates"):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5, 7])
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(step, context_of):
    """Before a refresh, while the next index is in the making, and when it has taken over."""
    whole, stopped = context_of("whole"), context_of("stopped")
    rows = trained(whole)
    with pytest.raises(KeyboardInterrupt):
        trained(replace(stopped, say=Stopped(step)))
    assert trained(stopped) == rows
    files = [context.scratch / "realm" / "model.safetensors" for context in (whole, stopped)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_reading_what_is_retrieved_comes_to_be_worth_something(tmp_path):
    """At first the reader believes whatever it is given, and is worse off than with nothing."""
    write_corpus(tmp_path, places(400, seed=0))
    (tmp_path / "scratch").mkdir()
    cloze = {"cloze_steps": 300, "cloze_batch": 16, "cloze_learning_rate": 3e-3}
    reader = {"reader_steps": 300, "reader_batch": 16, "reader_learning_rate": 3e-3}
    sizes = {
        "passages": 5000,
        "passage_chunks": 2,
        "query_tokens": 40,
        "held_out": 0.2,
        "width": 32,
        "vector": 16,
    }
    make_realm_start(tiny_context(tmp_path), GEOMETRY, tiny_realm_start(**sizes, **cloze, **reader))
    (tmp_path / "scratch" / "realm_start").rename(tmp_path / "realm_start")
    moving = {"refresh_every": 25, "probe_every": 50, "hand_over": 5}
    utility = [
        row["utility"]
        for row in trained(tiny_context(tmp_path), steps=120, batch=16, learning_rate=3e-4, **moving)
    ]
    assert np.mean(utility[:20]) < -0.05
    assert np.mean(utility[-40:]) > np.mean(utility[:20]) + 0.1


@pytest.mark.slow
def test_ray_builds_the_same_index(context_of):
    here_built, by_ray = context_of("here"), context_of("ray")
    rows = trained(here_built)
    assert trained(by_ray, lambda config, path: on_ray(config, path, by_ray.runtime)) == rows
    one, other = (
        load_file(context.scratch / "realm" / "model.safetensors") for context in (here_built, by_ray)
    )
    assert all(np.array_equal(one[path], other[path]) for path in one)
