"""A run that is stopped again and again ends with the bits of one that was not, and says the same of every
step.
"""

import io
import json
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from data_contracts.failure import Failure
from data_contracts.sequences import SEQUENCES, SUPERVISION
from model.mesh import Layout, make_layout
from model.optimizer import adabelief
from model.registry import SYSTEMS
from model.schedules import TrainingSchedule, learning_rate
from model.train_step import TrainState, init_train_state
from stages.parameters import Runtime
from stages.runner.interruption import Interruption
from stages.runner.messages import Messages
from stages.training.checkpoints import Checkpoints, Restored, Saver
from stages.training.data import TrainingData
from stages.training.log import PLACE, TrainingLog, Work
from stages.training.loop import Plan, TrainingLoop
from stages.training.order import ORDERS, independent
from stages.training.tracker import trackers_of
from tests.stages.artifacts import write_artifact
from tests.stages.event_files import read_events
from tests.tiny import tiny_config, tiny_geometry

STEPS = 200
GEOMETRY = tiny_geometry(chunk_tokens=4, sequence_chunks=8)
CONFIG = tiny_config(vocabulary_size=30, dropout=0.1)
SCHEDULE = TrainingSchedule(2.0, 1e-2, 0.1, 0.6)
RATE = learning_rate(1e-3, STEPS, 0.1)
OPTIMIZER = adabelief(RATE)


class StopsAt(TrainingData):
    """Sends this process a SIGTERM in the middle of each of `steps`, reads of sequences counted from the
    first.
    """

    steps: tuple[int, ...] = ()
    read = 0

    def batch(self, segments):
        self.read += len(segments.rows_B) > 0
        if self.read in self.steps:
            signal.raise_signal(signal.SIGTERM)
        return super().batch(segments)


@pytest.fixture
def data(tmp_path) -> StopsAt:
    generator, count = np.random.default_rng(0), 5
    keys = {"doc_id": ["a", "a", "a", "b", "c"], "first_chunk": [0, 8, 16, 0, 0]}
    tokens = [generator.integers(0, 30, 33).astype(np.uint32) for _ in range(count)]
    candidates = np.full((count, 8, 2), -1, np.int32)
    candidates[:, 4:6, 0], candidates[:, 6:] = 0, (2, 1)
    scores = generator.normal(size=candidates.shape).astype(np.float32) * 8
    supervision = {
        "candidates": [row.ravel() for row in candidates],
        "scores": [row.ravel() for row in scores],
        "labelled": [(row >= 0).any(axis=1) for row in candidates],
    }
    write_artifact(
        SEQUENCES, tmp_path / "sequences", SEQUENCES.table(keys | {"token_ids": tokens}, sequence_tokens=32)
    )
    write_artifact(
        SUPERVISION,
        tmp_path / "supervision",
        SUPERVISION.table(keys | supervision, sequence_chunks=8, slots=2),
    )
    return StopsAt(tmp_path / "sequences", tmp_path / "supervision", GEOMETRY)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def session(
    place: Path,
    data: StopsAt,
    seconds: float = 1e9,
    steps: int = STEPS,
    optimizer=OPTIMIZER,
    name: str = "rpt_sem",
    layout: Layout | None = None,
) -> tuple[TrainState, list[dict]]:
    """One process's worth of training: from the newest checkpoint in `place` until it is stopped or done."""
    layout, system = layout or make_layout(2, 4), SYSTEMS[name]
    plan = Plan(
        "some-run", data, ORDERS[system.carry], SCHEDULE, np.asarray(RATE(np.arange(steps))), 2, 3, layout
    )
    fresh = init_train_state(system, CONFIG, 3, optimizer, 2, layout)
    with Checkpoints(place / "checkpoints", print) as checkpoints, Interruption() as interruption:
        begin = checkpoints.restore(fresh) or Restored(0, fresh, [])
        trackers = trackers_of(Runtime(), "some-run", begin.step, PLACE)
        work, said = Work(64, 1e6, None), Messages(io.StringIO())
        with TrainingLog("some-run", begin.step, plan.steps, work, said, trackers) as log:
            loop = TrainingLoop(plan, begin, Saver(checkpoints, seconds, interruption), log)
            return loop.run(), loop.history


def same_bits(state: TrainState, other: TrainState) -> None:
    assert jax.tree.structure(state) == jax.tree.structure(other)
    for one, two in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(two).tobytes()


@pytest.mark.slow
def test_stopped_at_1_37_100_and_199_of_200_it_ends_with_the_same_bits(place, data):
    state, history = session(place, data)
    assert not list((place / "checkpoints").iterdir())
    done = 0
    for stop in (1, 37, 100, 199):
        data.read, data.steps = 0, (stop - done,)
        with pytest.raises(KeyboardInterrupt):
            session(place, data)
        newest = max((place / "checkpoints").iterdir())
        assert newest.name == f"{stop:08d}"
        assert (newest / "losses.jsonl").read_text() == "".join(
            json.dumps(row) + "\n" for row in history[:stop]
        )
        done = stop
    data.steps = ()
    resumed, said = session(place, data)
    same_bits(resumed, state)
    assert said == history
    assert_log_is(place, history)
    assert_values_are_those_of_the_schedules(history)


def assert_log_is(place: Path, history: list[dict]) -> None:
    """Each step once, in the JSON lines and in what TensorBoard keeps of five sessions."""
    lines = [json.loads(line) for line in (place / ".run/training/some-run.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(STEPS))
    assert all({*row.items()} <= {*line.items()} for row, line in zip(history, lines, strict=True))
    assert lines[198]["tokens_per_second"] > 0
    assert lines[198]["seconds_left"] > 0
    files = sorted((place / ".run/tensorboard/some-run").iterdir())
    assert len(files) == 5
    kept: dict[int, dict] = {}
    for file in files:
        first, scalars = read_events(file)
        kept = {step: values for step, values in kept.items() if step < first} | dict(scalars)
    assert sorted(kept) == list(range(STEPS))
    for row in history:
        assert kept[row["step"]]["lm_loss"] == pytest.approx(row["lm_loss"], rel=1e-6)
        assert kept[row["step"]]["perplexity"] == pytest.approx(np.exp(row["lm_loss"]), rel=1e-6)


def assert_values_are_those_of_the_schedules(history: list[dict]) -> None:
    always = {
        "step",
        "loss",
        "lm_loss",
        "ranking_loss",
        "recall_at_2",
        "recall_at_10",
        "grad_norm",
        "learning_rate",
    }
    assert {*history[0]} == always | {"tau", "alpha", "own_probability"}
    assert {*history[199]} - {*history[198]} == {"gradient_ratio"}
    assert history[199]["gradient_ratio"] > 0
    assert (history[0]["own_probability"], history[-1]["own_probability"]) == (0, 1)
    assert (history[0]["alpha"], history[-1]["alpha"]) == (0, 1e-2)
    assert history[100]["tau"] == 1.5
    assert history[20]["learning_rate"] == pytest.approx(1e-3)


def test_checkpoints_by_the_clock_change_nothing(place, data):
    state, history = session(place / "one", data, steps=12)
    often, said = session(place / "two", data, seconds=1e-9, steps=12)
    same_bits(often, state)
    assert said == history
    best = min(range(1, 13), key=lambda step: np.mean([row["lm_loss"] for row in history[:step]]))
    assert sorted(path.name for path in (place / "two/checkpoints").iterdir()) == [
        f"{step:08d}" for step in sorted({best, 11, 12})
    ]


def test_what_layers_carry_is_resumed_too(place, data):
    """Three documents are read in two rows, one of them in three sequences; the run is stopped in the middle
    of it, and once more.
    """
    state, history = session(place / "one", data, steps=8, name="memorizing_32k")
    data.steps = (3,)
    for _ in range(2):
        data.read = 0
        with pytest.raises(KeyboardInterrupt):
            session(place / "two", data, steps=8, name="memorizing_32k")
    data.steps = ()
    resumed, said = session(place / "two", data, steps=8, name="memorizing_32k")
    same_bits(resumed, state)
    assert said == history
    assert len(jax.tree.leaves(state.carried)) == 9


def test_a_value_that_is_not_finite_stops_with_the_step_and_its_sequences(place, data):
    with pytest.raises(Failure, match="training broke at step 1") as failure:
        session(place, data, seconds=1e-9, optimizer=adabelief(1e30))
    read = [data.keys[row] for row in independent(data.keys, 1, 2, 3).rows_B]
    assert all(f"{doc_id} from chunk {first}" in failure.value.cause for doc_id, first in read)
    assert "lm_loss is nan" in failure.value.cause
    assert "./rpt batch some-run --step 1" in failure.value.remedy
    assert [path.name for path in (place / "checkpoints").iterdir()] == ["00000001"]


def test_a_second_signal_does_not_wait():
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before
