"""What a trained run cost: parameters, updates, operations of one, and its time on the machine that it was
trained on.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from data_contracts.systems import RECORDS
from model.training_cost import step_flops
from reports.comparison.rows import Trained
from stages.parameters import Configuration
from stages.report.report import parameter_count
from stages.training.log import PLACE
from stages.training.systems import described_config

COMPILING = 2  # updates at the beginning of a session that may hold compilation


def trained_run(
    name: str, corpus: str, system: str, seed: int, configuration: Configuration, root: Path
) -> Trained:
    """What is known of a run, trained or not; `root` is the checkout."""
    untrained = Trained(name, system, seed, RECORDS[system].retriever)
    directory = root / "artifacts" / corpus / "models" / name
    if not (directory / "model.safetensors").exists():
        return untrained
    config = json.loads((directory / "config.json").read_text())
    losses = _lines(directory / "losses.jsonl")
    return replace(
        untrained,
        parameters=parameter_count(directory / "model.safetensors"),
        steps=len(losses) or None,
        step_seconds=seconds_per_step(_lines(root / PLACE / "training" / f"{name}.jsonl"), losses),
        step_flops=step_flops(
            system,
            described_config(config),
            configuration.geometry.sequence_tokens,
            configuration.training.batch,
        ),
        sizes=config["shape"],
    )


def seconds_per_step(log: list[dict], losses: list[dict]) -> float | None:
    """The median time from one update to the next, by the log of a training; None if it has too few, or is of
    another model than `losses`.

    The first line of a session has no speed. Left out are the time up to it, which holds the start or a gap,
    and the `COMPILING` updates after it. A median does not see checkpoints and other things that are done now
    and then.
    """
    if not log or not losses or any(log[-1][key] != losses[-1][key] for key in ("step", "lm_loss")):
        return None
    times, since = [], 0
    for before, line in pairwise(log):
        since = since + 1 if "tokens_per_second" in line else 0
        if since > COMPILING:
            times.append(line["time"] - before["time"])
    return median(times) if times else None


def _lines(path: Path) -> list[dict]:
    """The lines of a JSONL file that are whole; none if there is no file."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:  # cut off by a kill
            break
    return found
