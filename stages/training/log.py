"""What a training run says while it goes on, for people: progress, `.run/training/RUN.jsonl` and its
trackers.

Here, and in no tracked file, stand values that depend on the clock.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jax.sharding import Mesh

from model.config import ModelConfig
from model.training_cost import step_flops
from stages.devices import training_peak
from stages.runner.messages import Messages
from stages.training.tracker import Tracker

PLACE = Path(".run")
WINDOW = 50  # steps over which speed is averaged


class Work(NamedTuple):
    """What one step is: its tokens, its operations as model/training_cost.py counts them, and `peak`, the
    operations a second that the devices in use could do at best, if that is known."""

    tokens: int
    flops: float
    peak: float | None


def work_of(system: str, config: ModelConfig, tokens: int, sequences: int, mesh: Mesh) -> Work:
    """What a step of `system` is, with `sequences` of so many tokens on the devices of `mesh`."""
    peak = training_peak(mesh.devices.flat[0].device_kind, config.dtype)
    return Work(
        sequences * tokens,
        step_flops(system, config, tokens, sequences),
        None if peak is None else peak * mesh.size,
    )


class TrainingLog:
    """The log of run `name` from step `first` on; what an earlier session wrote of these steps is dropped.
    `trackers` are told the same figures, and closed with the log.
    """

    def __init__(
        self, name: str, first: int, steps: int, work: Work, say: Messages, trackers: Sequence[Tracker] = ()
    ):
        self._steps, self._work, self._say, self._trackers = steps, work, say, trackers
        self._times: deque[float] = deque(maxlen=WINDOW + 1)
        lines = PLACE / "training" / f"{name}.jsonl"
        lines.parent.mkdir(parents=True, exist_ok=True)
        kept = (
            [line for line in lines.read_text().splitlines(keepends=True) if _step(line) < first]
            if lines.exists()
            else []
        )
        lines.write_text("".join(kept))
        self._lines = open(lines, "a", buffering=1)  # noqa: SIM115
        say.progress(first, steps, "steps", "compiling")

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as closing:  # each is closed, whatever another one raises
            closing.callback(self._lines.close)
            for tracker in self._trackers:
                closing.callback(tracker.close)

    def step(self, row: dict) -> None:
        """Log the finished step `row["step"]` with its loss and whatever else the row holds."""
        done = row["step"] + 1
        speed = self._speed(done)
        values = {name: value for name, value in row.items() if name != "step"} | {
            "perplexity": math.exp(min(row["lm_loss"], 80.0))
        }
        self._lines.write(json.dumps({"step": row["step"], **values, "time": time.time(), **speed}) + "\n")
        for tracker in self._trackers:
            tracker.log(row["step"], values | speed)
        said = f"loss {row['lm_loss']:.3f}"
        said += f", {speed['tokens_per_second']:,.0f} tokens/s" if speed else ""
        said += f", {speed['mfu']:.0%} MFU" if "mfu" in speed else ""
        self._say.progress(done, self._steps, "steps", said)

    def _speed(self, done: int) -> dict[str, float]:
        """Tokens and operations a second over the last steps, their share of the peak (model FLOPs
        utilisation), seconds that are left.
        """
        self._times.append(time.monotonic())
        seconds = self._times[-1] - self._times[0]
        if not seconds:
            return {}
        rate = (len(self._times) - 1) / seconds
        flops = rate * self._work.flops
        mfu = {"mfu": flops / self._work.peak} if self._work.peak else {}
        left = (self._steps - done) / rate
        return {
            "tokens_per_second": rate * self._work.tokens,
            "flops_per_second": flops,
            **mfu,
            "seconds_left": left,
        }


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # cut off by a kill
        return math.inf
