"""What a run cost, read from its model and its log."""

import json
import shutil
from pathlib import Path

import pytest

from model.training_cost import step_flops
from stages.parameters import load
from stages.report.trained_runs import COMPILING, seconds_per_step, trained_run
from stages.training.systems import config_of

ROOT = Path(__file__).resolve().parents[3]


def log_of(times, sessions=(0,)):
    """Lines of a log with these times; the first of a session has no speed yet."""
    return [
        {"step": step, "lm_loss": 5.0 - step, "time": time}
        | ({} if step in sessions else {"tokens_per_second": 1.0})
        for step, time in enumerate(times)
    ]


def losses_of(log):
    return [{"step": line["step"], "lm_loss": line["lm_loss"]} for line in log]


def test_compilation_at_the_beginning_is_left_out():
    log = log_of([0, 60, 90, 91, 92, 93.5])
    assert COMPILING == 2
    assert seconds_per_step(log, losses_of(log)) == 1.0


def test_the_gap_of_a_resumed_run_is_left_out():
    times = [0, 9, 18, 19, 20, 21, 5000, 5009, 5018, 5019, 5020]
    log = log_of(times, sessions=(0, 6))
    assert seconds_per_step(log, losses_of(log)) == 1.0
    assert seconds_per_step(log_of(times), losses_of(log)) == 1.0, "one gap is nothing to a median"
    only_gaps = log_of([0, 1, 2, 1000, 1001, 1002], sessions=(0, 3))
    assert seconds_per_step(only_gaps, losses_of(only_gaps)) is None


def test_a_checkpoint_now_and_then_is_nothing_to_a_median():
    times = [float(step + 30 * (step > 10)) for step in range(20)]
    log = log_of(times)
    assert seconds_per_step(log, losses_of(log)) == 1.0


def test_a_log_of_another_model_says_nothing():
    log = log_of(range(9))
    losses = losses_of(log)
    assert seconds_per_step(log, losses) == 1.0
    assert seconds_per_step(log[:-1], losses) is None
    assert seconds_per_step(log, [*losses[:-1], {**losses[-1], "lm_loss": 4.0}]) is None
    assert seconds_per_step([], losses) is None
    assert seconds_per_step(log, []) is None


@pytest.fixture
def trained(tmp_path):
    """A checkout with a configuration and a model that was trained by it, of the system's shape and of no
    parameters to speak of.
    """
    import numpy as np
    from safetensors.numpy import save_file

    from model.registry import SYSTEMS
    from stages.training.systems import describe

    configuration = load(Path(shutil.copy(ROOT / "profiles" / "demo.yaml", tmp_path / "params.yaml")))
    recipe = configuration.recipes["retro"]
    config = config_of(configuration.geometry, configuration.training, recipe, 1024)
    directory = tmp_path / "artifacts" / "demo" / "models" / "demo-retro"
    directory.mkdir(parents=True)
    save_file(
        {"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.float32)}, directory / "model.safetensors"
    )
    (directory / "config.json").write_text(json.dumps(describe(SYSTEMS["retro"], config, recipe)))
    log = log_of(range(9))
    (directory / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in losses_of(log)))
    (tmp_path / ".run" / "training").mkdir(parents=True)
    (tmp_path / ".run" / "training" / "demo-retro.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in log) + '{"step": 9, "lm'
    )
    return tmp_path, configuration, config


def test_everything_is_read_from_where_it_is(trained):
    root, configuration, config = trained
    run = trained_run("demo-retro", "demo", "retro", 0, configuration, root)
    assert (run.parameters, run.steps, run.step_seconds, run.retriever) == (22, 9, 1.0, "bm25")
    assert run.step_flops == step_flops("retro", config, 2048, 1)
    assert run.sizes["layers"] == config.layers
    (root / ".run" / "training" / "demo-retro.jsonl").unlink()
    assert trained_run("demo-retro", "demo", "retro", 0, configuration, root).step_seconds is None


def test_a_run_that_is_not_trained_has_nothing_but_its_name(trained):
    root, configuration, _ = trained
    run = trained_run("demo-rpt_sem", "demo", "rpt_sem", 1, configuration, root)
    assert (run.run, run.system, run.seed, run.retriever) == ("demo-rpt_sem", "rpt_sem", 1, "own")
    assert (run.parameters, run.steps, run.step_seconds, run.step_flops, run.sizes) == (None,) * 5
