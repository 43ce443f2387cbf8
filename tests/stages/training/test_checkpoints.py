"""A checkpoint is either read back bit for bit, or noticed to be broken and passed over."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from stages.training import checkpoints as checkpoints_module
from stages.training.checkpoints import LOSSES, MANIFEST, Checkpoints

ROOT = Path(__file__).resolve().parents[3]


def state(step: int) -> dict:
    generator = np.random.default_rng(step)
    kernel = jnp.asarray(generator.normal(size=(16, 24)).astype(np.float32))
    return {
        "parameters": {"lower.0.kernel": kernel, "half": kernel.astype(jnp.bfloat16)},
        "step": jnp.asarray(step, jnp.int32),
    }


def rows(count: int) -> list[dict]:
    return [{"step": step, "lm_loss": 1 / (step + 3)} for step in range(count)]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def directory(tmp_path, said) -> Path:
    """Three checkpoints were written, so the newest two are there."""
    with Checkpoints(tmp_path, said.append) as checkpoints:
        for step in (1, 2, 5):
            checkpoints.save(step, state(step), rows(step))
    return tmp_path


def restored(directory: Path, said: list[str]):
    with Checkpoints(directory, said.append) as checkpoints:
        return checkpoints.restore(state(0))


def assert_is(found, step: int) -> None:
    assert (found.step, found.history) == (step, rows(step))
    assert jax.tree.structure(found.state) == jax.tree.structure(state(step))
    jax.tree.map(np.testing.assert_array_equal, found.state, state(step))
    assert [leaf.dtype for leaf in jax.tree.leaves(found.state)] == [
        leaf.dtype for leaf in jax.tree.leaves(state(step))
    ]


def test_the_newest_comes_back_bit_for_bit_and_two_are_kept(directory, said):
    assert_is(restored(directory, said), 5)
    assert sorted(path.name for path in directory.iterdir()) == ["00000002", "00000005"]
    assert said == []


def test_other_cores_are_said_and_the_checkpoint_is_taken(directory, said, monkeypatch):
    here = checkpoints_module.computed_on()
    assert f"of {len(os.sched_getaffinity(0))} cores" in here
    monkeypatch.setattr(checkpoints_module, "computed_on", lambda: "64 TPU v4")
    assert_is(restored(directory, said), 5)
    assert said == [
        f"the checkpoint of step 5 was computed on {here}, the rest is on 64 TPU v4: last bits may differ"
    ]


def test_a_checkpoint_that_does_not_say_what_it_was_computed_on_is_taken(directory, said):
    newest = directory / "00000005"
    (newest / checkpoints_module.COMPUTED_ON).unlink()
    manifest = json.loads((newest / MANIFEST).read_text())
    del manifest["files"][checkpoints_module.COMPUTED_ON]
    (newest / MANIFEST).write_text(json.dumps(manifest))
    assert_is(restored(directory, said), 5)
    assert len(said) == 1
    assert "was computed on what it does not say" in said[0]


def test_nothing_saved_is_nothing_restored(tmp_path, said):
    assert restored(tmp_path, said) is None


def test_every_file_truncated_flipped_or_missing_is_noticed(directory, said):
    newest = directory / "00000005"
    files = sorted(path for path in newest.rglob("*") if path.is_file())
    assert {MANIFEST, LOSSES} < {path.name for path in files}
    assert len(files) > 4
    for path in files:
        good = path.read_bytes()
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        for bad in (good[: len(good) // 2], bytes(flipped), None):
            path.write_bytes(bad) if bad is not None else path.unlink()
            assert_is(restored(directory, said), 2)
            assert "step 5 is set aside" in said[-1], (path, said)
            (directory / "00000005.damaged").rename(newest)
            path.write_bytes(good)
    assert_is(restored(directory, said), 5)
    assert len(said) == 3 * len(files)


@pytest.mark.parametrize("loss", ["lm_loss", "loss"])
def test_the_best_is_kept_beside_the_newest_two(loss, tmp_path, said):
    """Of a system by its LM loss; of a dense retriever, which has none, by its loss."""
    history = [{"step": step, loss: 1.0 if 20 <= step < 60 else 2.0 + step / 100} for step in range(180)]
    with Checkpoints(tmp_path, said.append) as checkpoints:
        for step in (20, 60, 120, 150, 180):
            checkpoints.save(step, state(step), history[:step])
        checkpoints.wait()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["00000060", "00000150", "00000180"]
        assert checkpoints.restore(state(0)).step == 180


def test_what_a_kill_left_half_written_is_passed_over(directory, said):
    (directory / "00000009.orbax-checkpoint-tmp-1").mkdir()
    (directory / "00000005" / MANIFEST).unlink()
    assert_is(restored(directory, said), 2)
    assert "was not finished" in said[0]
    assert not list(directory.glob("*tmp*"))


def test_where_none_is_whole_training_begins_anew(directory, said):
    for place in directory.iterdir():
        (place / LOSSES).write_text("")
    assert restored(directory, said) is None
    assert len(said) == 2


def test_saving_does_not_see_later_steps(tmp_path, said):
    advance = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    now = state(3)
    with Checkpoints(tmp_path, said.append) as checkpoints:
        history = rows(3)
        checkpoints.save(3, now, history)
        history.append({"step": 3, "lm_loss": 0.0})
        for _ in range(20):
            now = advance(now)
        checkpoints.wait()
    assert_is(restored(tmp_path, said), 3)


def test_a_directory_that_cannot_be_made_is_a_failure_that_names_the_step(tmp_path, said):
    place = tmp_path / "checkpoints"
    with Checkpoints(place, said.append) as checkpoints:
        place.rmdir()
        place.write_text("a file where the directory should be")
        with pytest.raises(Failure, match="the checkpoint of step 4 could not be written") as failure:
            checkpoints.save(4, state(4), rows(4))
    assert failure.value.code == Exit.ENVIRONMENT


def save_whole(checkpoints: Checkpoints) -> None:
    checkpoints.save(9, state(9), rows(9))
    checkpoints.wait()


def test_a_full_disk_is_a_failure_and_what_was_whole_stays(directory, said):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(directory, said.append) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        try:
            with pytest.raises(Failure, match="the checkpoint of step 9 could not be written") as failure:
                save_whole(checkpoints)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failure.value.code == Exit.ENVIRONMENT
    assert_is(restored(directory, said), 5)


EIGHT = """
import sys, pathlib, jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from stages.training.checkpoints import Checkpoints
from tests.stages.training.test_checkpoints import rows, state
mesh = Mesh(np.array(jax.devices()), "x")
assert len(jax.devices()) == 8
place = lambda a: jax.device_put(a, NamedSharding(mesh, P("x") if a.ndim else P()))
with Checkpoints(pathlib.Path(sys.argv[1]), print) as checkpoints:
    checkpoints.save(7, jax.tree.map(place, state(7)), rows(7))
"""


def test_what_eight_devices_saved_one_restores(tmp_path, said):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    subprocess.run([sys.executable, "-c", EIGHT, str(tmp_path)], env=environment, cwd=ROOT, check=True)
    assert len(jax.devices()) == 1
    assert_is(restored(tmp_path, said), 7)


def test_one_of_another_model_is_refused_and_not_met_again(directory, said):
    other = {"parameters": {**state(0)["parameters"], "half": jnp.zeros((16, 25))}, "step": jnp.asarray(0)}
    words = r"step 5 does not fit.*half'\] is \(16, 24\) in it and \(16, 25\) here; 1 differ"
    with Checkpoints(directory, said.append) as checkpoints, pytest.raises(Failure, match=words) as refused:
        checkpoints.restore(other)
    assert refused.value.code == Exit.CONTRACT
    assert_is(restored(directory, said), 2)
