"""The training stage in a process of its own, killed and stopped in the middle: what it ends with is what it would have ended with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
STEPS = 300
RUN = "demo-transformer_xl"
MODEL = Path("artifacts/demo/models") / RUN
EDITS = (f"training.steps={STEPS}", "runtime.checkpoint_seconds=0.2")


@pytest.fixture(scope="module")
def packed(project, rpt, tmp_path_factory) -> Path:
    """A copy of the small project that has everything training reads."""
    root = tmp_path_factory.mktemp("stopped") / "project"
    shutil.copytree(project, root)
    done = rpt(root, "run", "packing", *(part for edit in EDITS for part in ("-o", edit)))
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def start(root: Path, *command: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_COMPILATION_CACHE_DIR": str(root / ".run" / "jax-cache")}
    return subprocess.Popen([sys.executable, "-m", *command], cwd=root, env=environment, text=True, stdout=subprocess.PIPE)


def messages(child: subprocess.Popen) -> Iterator[dict]:
    assert child.stdout
    for line in child.stdout:
        yield json.loads(line)


def train(root: Path) -> tuple[int, list[dict]]:
    child = start(root, "stages", "training", RUN)
    said = list(messages(child))
    return child.wait(60), said


def stop_after(root: Path, step: int, number: int) -> tuple[int, list[dict]]:
    """Start the stage and send it a signal when it has said that it is past `step`."""
    child, said, sent = start(root, "stages", "training", RUN), [], False
    for message in messages(child):
        said.append(message)
        if not sent and message["event"] == "progress" and message["done"] > step:
            child.send_signal(number)
            sent = True
    return child.wait(60), said


def resumed_after(said: list[dict]) -> int:
    (note,) = [message["markdown"] for message in said if message["event"] == "note"]
    assert note.startswith(f"**{RUN}** goes on after step ")
    assert note.endswith(f" of {STEPS}")
    return int(note.split()[-3])


def results(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / MODEL).iterdir()}


def test_killed_and_stopped_it_ends_with_the_same_bytes(packed):
    assert train(packed)[0] == 0
    expected = results(packed)
    assert expected["losses.jsonl"].count(b"\n") == STEPS
    shutil.rmtree(packed / MODEL)
    work = packed / ".work" / "training" / RUN

    code, said = stop_after(packed, 60, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert said[-1]["event"] != "outcome"
    assert not (packed / MODEL).exists()

    code, said = stop_after(packed, 120, signal.SIGTERM)
    assert code == 75
    assert said[-1] == {"event": "outcome", "code": 75, "reason": "interrupted; run again to go on where it stopped", "retry": False}
    assert 0 < resumed_after(said) <= 121
    (newest, *_) = sorted(work.glob("*/checkpoints/*"), reverse=True)
    assert int(newest.name) > 120

    code, said = stop_after(packed, 180, signal.SIGINT)
    assert code == 75
    assert resumed_after(said) == int(newest.name)

    (newest, *_) = sorted(work.glob("*/checkpoints/*"), reverse=True)
    next(newest.rglob("losses.jsonl")).write_text("")
    code, said = train(packed)
    assert code == 0
    assert any("is set aside: losses.jsonl" in message.get("markdown", "") for message in said)
    assert results(packed) == expected
    assert list(work.iterdir()) == []


def test_rpt_run_goes_on_too_and_other_work_does_not(packed, rpt):
    expected = results(packed)
    shutil.rmtree(packed / MODEL)
    code, _ = stop_after(packed, 60, signal.SIGTERM)
    assert code == 75
    done = rpt(packed, "run", f"training@{RUN}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUN} goes on after step" in done.stdout
    assert results(packed) == expected

    shutil.rmtree(packed / MODEL)
    assert stop_after(packed, 60, signal.SIGTERM)[0] == 75
    assert rpt(packed, "config", "-o", f"runs.{RUN}.seed=1").returncode == 0
    code, said = train(packed)
    assert code == 0
    assert not [message for message in said if message["event"] == "note"]
    assert results(packed)["model.safetensors"] != expected["model.safetensors"]


def test_ctrl_c_in_rpt_run_writes_a_checkpoint(packed, rpt):
    """Through the leash and DVC. The only checkpoint is the one that the signal asked for."""
    shutil.rmtree(packed / MODEL, ignore_errors=True)
    log = packed / ".run" / "training" / f"{RUN}.jsonl"
    log.unlink(missing_ok=True)
    assert rpt(packed, "config", "-o", "runtime.checkpoint_seconds=300", "-o", "training.steps=3000").returncode == 0
    child = start(packed, "flows.cli", "run", f"training@{RUN}")
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_bytes().count(b"\n") > 30):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 75
    (checkpoint,) = (packed / ".work" / "training" / RUN).glob("*/checkpoints/*")
    assert (checkpoint / "manifest.json").exists()
    assert (checkpoint / "losses.jsonl").read_bytes().count(b"\n") == int(checkpoint.name) > 30
