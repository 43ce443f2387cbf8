"""The training stage with the paper's way of training a retriever, from artifacts to a model, its description
and its log.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from data_contracts.sequences import SEQUENCES, SUPERVISION
from model.registry import SYSTEMS
from model.training_cost import step_flops
from stages.parameters import Recipe, Run
from stages.runner.stage import Context
from stages.tokens.tokenizer import train_tokenizer
from stages.training.systems import config_of, load_trained
from stages.training.training import train
from tests.stages.artifacts import write_artifact
from tests.tiny import tiny_context, tiny_geometry, tiny_training

GEOMETRY = tiny_geometry(chunk_tokens=4, sequence_chunks=8)
TRAINING = tiny_training(steps=4, batch=2, shortest_sequence=0.9, warmup=0.1)
RECIPE = Recipe(
    cca_layers=(2,), neighbours=2, ranking_weight=1e-9, normalise="sum", sampling="batch", missing_gold="mask"
)


@pytest.fixture
def context(tmp_path, monkeypatch) -> Context:
    monkeypatch.chdir(tmp_path)
    rng, count = np.random.default_rng(0), 3
    keys = {"doc_id": [f"d{n}" for n in range(count)], "first_chunk": [0] * count}
    tokens = [rng.integers(0, 250, length).astype(np.uint32) for length in (33, 33, 20)]
    candidates = np.full((count, 8, 2), -1, np.int32)
    candidates[:, 6:] = (2, 1)
    supervision = {
        "candidates": [row.ravel() for row in candidates],
        "scores": [rng.normal(0, 8, row.size).astype(np.float32) for row in candidates],
        "labelled": [(row >= 0).any(axis=1) for row in candidates],
    }
    write_artifact(
        SEQUENCES, tmp_path / "sequences", SEQUENCES.table(keys | {"token_ids": tokens}, sequence_tokens=32)
    )
    scored = SUPERVISION.table(keys | supervision, sequence_chunks=8, slots=2)
    write_artifact(SUPERVISION, tmp_path / "supervision" / "scored", scored)
    (tmp_path / "tokenizer").mkdir()
    train_tokenizer(iter([]), 257).save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    run = Run(corpus="c", system="rpt_sem", input="supervision/scored", seed=0)
    return tiny_context(tmp_path, corpus="c", run_name="a-run", run=run)


@pytest.mark.slow
def test_a_model_trained_as_the_paper_does(context, tmp_path):
    train(context, GEOMETRY, TRAINING, RECIPE)
    model, said = tmp_path / "scratch" / "model", context.say.stream.getvalue()
    config = json.loads((model / "config.json").read_text())
    assert config["retriever_training"] == {"normalise": "sum", "sampling": "batch", "missing_gold": "mask"}
    assert load_trained(model, config).training.normalise.__name__ == "as_sum"
    assert (
        "**a-run** leaves out 1 of 3 sequences, 19 tokens: they are shorter than"
        " training.shortest_sequence, 0.9" in said
    )
    lines = [json.loads(line) for line in (tmp_path / ".run/training/a-run.jsonl").read_text().splitlines()]
    config = config_of(GEOMETRY, TRAINING, RECIPE, 257)
    flops = step_flops(SYSTEMS["rpt_sem"].name, config, GEOMETRY.sequence_tokens, TRAINING.batch)
    assert lines[3]["flops_per_second"] == pytest.approx(lines[3]["tokens_per_second"] * flops / 64)
    assert "mfu" not in lines[3], "of a CPU no peak is known"
    assert all(
        "flops_per_second" not in line
        for line in map(json.loads, (model / "losses.jsonl").read_text().splitlines())
    )


@pytest.mark.slow
def test_a_row_in_the_form_of_other_code_has_its_learning_rate(context, tmp_path):
    run = Run(corpus="c", system="transformer_xl_official", input="sequences", seed=0)
    train(
        replace(context, run=run),
        GEOMETRY,
        TRAINING.model_copy(update={"shortest_sequence": 0.0, "warmup": 0.25}),
        Recipe(),
    )
    losses = [
        json.loads(line)
        for line in (tmp_path / "scratch" / "model" / "losses.jsonl").read_text().splitlines()
    ]
    assert [round(row["learning_rate"], 5) for row in losses] == [0.01, 0.01, 0.00775, 0.00325]
    assert all(np.isfinite(row["lm_loss"]) for row in losses)
