"""What a training step costs: RPT-Sem against Transformer-XL, at the paper's ratio of head to body and at a
toy shape.

Both systems take turns on the same made-up sequences with supervision, read by the pipeline's own
`TrainingData`. The paper's ratio of times is 1.51; the official code takes 4.41 s (RPT) and 1.85 s
(Transformer-XL) a step at the toy shape on a loaded machine of 2 cores. Of the 64 chunks of the first shape
48 can retrieve something, 224 of 256 at the paper's; its ratio of operations is 1.24, that of the paper's
shape 1.27. On an accelerator also the paper's own shape, 16,384 tokens through 12 layers 1,024 wide in
bfloat16 with remat.

Operations are those of the model as model/training_cost.py counts them; `_traced_x_counted` is what the
compiled step computes of matrix products over that: remat and the blocks of the LM loss compute some of them
twice. Shares of the peak where the device's is published.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from benchmarks.result import Bar, show
from data_contracts.contract import Contract, commit, write_shard
from data_contracts.eligibility import last_eligible
from data_contracts.sequences import SEQUENCES, SUPERVISION
from data_contracts.tokens import list_column
from model.config import ModelConfig
from model.matrix_flops import matrix_flops
from model.optimizer import adabelief
from model.registry import PAPER_CONFIG, SYSTEMS
from model.schedules import TrainingSchedule
from model.train_step import TrainState, init_train_state, train_step
from model.training_cost import step_flops
from stages.devices import training_peak
from stages.parameters import Geometry
from stages.training.data import TrainingData
from stages.training.order import independent

SEQUENCES_IN_ALL, SLOTS, STEPS = 16, 20, 5
PAPER_CHUNKS = 256  # 16,384 tokens, section 3.4
SYSTEM_NAMES = ("transformer_xl", "rpt_sem")
HEAD_TO_BODY = replace(
    PAPER_CONFIG, vocabulary_size=25_088, width=512, stride_chunks=8, dtype="float32", remat=False
)
UPPER = (3, 4)
TOY = replace(
    HEAD_TO_BODY,
    vocabulary_size=2_048,
    width=256,
    layers=4,
    heads=4,
    stride_chunks=4,
    cca_layers=UPPER,
    recurrent_layers=UPPER,
)
BARS = [
    Bar("rpt_x_transformer_xl", 1.40, at_most=True, wall_clock=True),
    Bar("rpt_step_s", 4.41 / 2, at_most=True, wall_clock=True),
    Bar("transformer_xl_step_s", 1.85 / 2, at_most=True, wall_clock=True),
    Bar("loader_wait_share", 0.03, at_most=True),
    Bar("recompilations", 0.0, at_most=True),
    Bar("paper_mfu", 0.45, at_most=False, wall_clock=True),
]


@dataclass
class Run:
    """One system in training, with the seconds of its steps and of what they waited for a batch."""

    state: TrainState
    seconds: list[float]
    waited: list[float]


def make_data(folder: Path, config: ModelConfig, chunks: int) -> TrainingData:
    """Sequences of random tokens, every chunk labelled with as many eligible candidates as there
    are slots.
    """
    rng = np.random.default_rng(0)
    keys: dict[str, list] = {
        "doc_id": [f"{number:016x}" for number in range(SEQUENCES_IN_ALL)],
        "first_chunk": [0] * SEQUENCES_IN_ALL,
    }
    tokens = [
        rng.integers(0, config.vocabulary_size, chunks * config.chunk_tokens + 1, np.uint32)
        for _ in keys["doc_id"]
    ]
    candidates = np.full((SEQUENCES_IN_ALL, chunks, SLOTS), -1, np.int32)
    for number in range(SEQUENCES_IN_ALL):
        for query in range(chunks):
            chosen = rng.permutation(max(0, last_eligible(query, config.stride_chunks) + 1))[:SLOTS]
            candidates[number, query, : len(chosen)] = chosen
    columns = {
        "candidates": list(candidates.reshape(SEQUENCES_IN_ALL, -1)),
        "scores": list(rng.normal(0, 32, (SEQUENCES_IN_ALL, chunks * SLOTS)).astype(np.float32)),
        "labelled": [[True] * chunks] * SEQUENCES_IN_ALL,
    }
    sequence_tokens = chunks * config.chunk_tokens
    _write(
        SEQUENCES,
        folder / "sequences",
        {**keys, "token_ids": list_column(tokens)},
        sequence_tokens=sequence_tokens,
    )
    _write(SUPERVISION, folder / "supervision", {**keys, **columns}, sequence_chunks=chunks, slots=SLOTS)
    geometry = Geometry(
        chunk_tokens=config.chunk_tokens, sequence_chunks=chunks, stride_chunks=config.stride_chunks
    )
    return TrainingData(folder / "sequences", folder / "supervision", geometry)


def _write(contract: Contract, directory: Path, columns: dict, **facts: int) -> None:
    directory.mkdir()
    write_shard(contract, contract.table(columns, **facts), directory / "part-00000.parquet")
    commit(contract, directory)


def step(run: Run, data: TrainingData, number: int) -> None:
    """One update, waited for."""
    began = time.monotonic()
    batch = data.batch(independent(data.keys, number, 1, 0))
    ready = time.monotonic()
    schedule = TrainingSchedule(2.0, 1e-2, 0.1, 0.6).at(number, 100)
    run.state, metrics = train_step(run.state, batch, schedule, jax.random.key(number))
    jax.block_until_ready(metrics)
    run.seconds.append(time.monotonic() - began)
    run.waited.append(ready - began)


def compilations() -> int:
    """How many times `train_step` has been compiled in this process."""
    return train_step._cache_size()  # type: ignore[attr-defined]


def measure(
    config: ModelConfig, chunks: int, names: tuple[str, ...] = SYSTEM_NAMES
) -> tuple[dict[str, Run], int]:
    """The systems after `STEPS` steps in turn, and how often a step was compiled after its first."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder), config, chunks)
    optimizer, runs = adabelief(1e-3), {}
    for name in names:
        runs[name] = Run(init_train_state(SYSTEMS[name], config, 0, optimizer), [], [])
        step(runs[name], data, 0)
        runs[name].seconds.clear()
        runs[name].waited.clear()
    compiled = compilations()
    for number in range(1, STEPS + 1):
        for run in runs.values():
            step(run, data, number)
    return runs, compilations() - compiled


def traced_flops(config: ModelConfig, chunks: int, name: str) -> float:
    """Matrix operations of one update, counted from the traced step."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder), config, chunks)
    state = jax.eval_shape(lambda: init_train_state(SYSTEMS[name], config, 0, adabelief(1e-3)))
    arguments = (
        state,
        data.batch(independent(data.keys, 0, 1, 0)),
        TrainingSchedule(2.0, 1e-2, 0.1, 0.6).at(0, 100),
        jax.random.key(0),
    )
    return matrix_flops(jax.make_jaxpr(train_step)(*arguments).jaxpr)


def speed(config: ModelConfig, chunks: int, name: str, seconds: float) -> dict[str, float]:
    """What a step of so many seconds on one sequence amounts to: tokens and operations a second, and their
    share of the peak if known.
    """
    flops, peak = (
        step_flops(name, config, chunks * config.chunk_tokens, 1),
        training_peak(jax.devices()[0].device_kind, config.dtype),
    )
    figures = {
        "tokens_per_s": chunks * config.chunk_tokens / seconds,
        "gflop_per_step": flops / 1e9,
        "gflop_per_s": flops / 1e9 / seconds,
    }
    return figures | ({"mfu": flops / seconds / peak} if peak else {})


def main() -> None:
    """Measure and show."""
    load, figures = os.getloadavg()[0], {}
    accelerator = jax.default_backend() != "cpu"
    toy, recompiled_toy = measure(TOY, 32)
    large, recompiled = measure(HEAD_TO_BODY, 64)
    median = {name: statistics.median(run.seconds) for name, run in large.items()}
    figures["rpt_x_transformer_xl"] = median["rpt_sem"] / median["transformer_xl"]
    figures["rpt_step_s"] = statistics.median(toy["rpt_sem"].seconds)
    figures["transformer_xl_step_s"] = statistics.median(toy["transformer_xl"].seconds)
    paper, recompiled_paper = measure(PAPER_CONFIG, PAPER_CHUNKS) if accelerator else ({}, 0)
    runs = [*toy.values(), *large.values(), *paper.values()]
    figures["loader_wait_share"] = max(sum(run.waited) / sum(run.seconds) for run in runs)
    figures["recompilations"] = float(recompiled + recompiled_toy + recompiled_paper)
    for name in SYSTEM_NAMES:
        figures[f"{name}_large_step_s"] = median[name]
        figures |= {
            f"{name}_large_{figure}": value
            for figure, value in speed(HEAD_TO_BODY, 64, name, median[name]).items()
        }
        traced = traced_flops(HEAD_TO_BODY, 64, name) / 1e9
        figures[f"{name}_large_traced_x_counted"] = traced / figures[f"{name}_large_gflop_per_step"]
    figures["flops_rpt_x_transformer_xl"] = (
        figures["rpt_sem_large_gflop_per_step"] / figures["transformer_xl_large_gflop_per_step"]
    )
    if accelerator:
        figures |= paper_figures({name: statistics.median(run.seconds) for name, run in paper.items()})
    show("training", figures, [bar for bar in BARS if bar.figure in figures], load)


def paper_figures(seconds: dict[str, float]) -> dict[str, float]:
    """Figures of RPT-Sem at the paper's shape, and its time over Transformer-XL's, from the seconds of a step
    of both.
    """
    ours = speed(PAPER_CONFIG, PAPER_CHUNKS, "rpt_sem", seconds["rpt_sem"])
    ratio = seconds["rpt_sem"] / seconds["transformer_xl"]
    return {f"paper_{figure}": value for figure, value in ours.items()} | {
        "paper_rpt_x_transformer_xl": ratio
    }


if __name__ == "__main__":
    main()
