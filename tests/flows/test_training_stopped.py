"""The training stage in a process of its own, killed and stopped in the middle: what it ends with is what it
would have ended with.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines import environment, private

pytestmark = pytest.mark.slow
STEPS = 300
RUN = "demo-transformer_xl"
MODEL = Path("artifacts/demo/models") / RUN
EDITS = (f"training.steps={STEPS}", "runtime.checkpoint_seconds=0.2")


@pytest.fixture(scope="module")
def packed(finished, rpt, tmp_path_factory) -> Path:
    """A copy of the finished pipeline that is to train longer."""
    root = private(finished, tmp_path_factory.mktemp("stopped") / "project")
    edited = rpt(root, "config", *(part for edit in EDITS for part in ("-o", edit)))
    assert edited.returncode == 0, edited.stdout + edited.stderr
    shutil.rmtree(root / MODEL)
    return root


@pytest.fixture(scope="module")
def expected(packed) -> dict[str, bytes]:
    """What training ends with when nothing stops it."""
    assert train(packed)[0] == 0
    return results(packed)


@pytest.fixture
def own(packed, expected, tmp_path) -> Path:
    """A copy that has not begun."""
    root = private(packed, tmp_path / "project")
    shutil.rmtree(root / MODEL)
    return root


def start(root: Path, *command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=root, env=environment(root), text=True, stdout=subprocess.PIPE
    )


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


def append(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text()}{line}\n")


def results(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / MODEL).iterdir()}


def test_killed_and_stopped_it_ends_with_the_same_bytes(own, expected):
    assert expected["losses.jsonl"].count(b"\n") == STEPS
    work = own / ".work" / "training" / RUN

    code, said = stop_after(own, 60, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert said[-1]["event"] != "outcome"
    assert not (own / MODEL).exists()

    code, said = stop_after(own, 120, signal.SIGTERM)
    assert code == 75
    assert (said[-1]["code"], said[-1]["remedy"], said[-1]["retry"]) == (
        75,
        "run again to go on where it stopped",
        False,
    )
    assert 0 < resumed_after(said) <= 121
    newest, *_ = sorted(work.glob("*/checkpoints/*"), reverse=True)
    assert int(newest.name) > 120

    code, said = stop_after(own, 180, signal.SIGINT)
    assert code == 75
    assert resumed_after(said) == int(newest.name)

    newest, *_ = sorted(work.glob("*/checkpoints/*"), reverse=True)
    next(newest.rglob("losses.jsonl")).write_text("")
    code, said = train(own)
    assert code == 0
    assert any("is set aside: losses.jsonl" in message.get("markdown", "") for message in said)
    assert results(own) == expected
    assert not work.exists()


def test_rpt_run_goes_on_too_and_other_work_does_not(own, expected, rpt):
    code, _ = stop_after(own, 60, signal.SIGTERM)
    assert code == 75
    append(own / "stages/training/training.py", "# A comment.")
    append(own / "model/baselines/griffin.py", "RATE = 9.0")
    done = rpt(own, "run", f"training@{RUN}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUN} goes on after step" in done.stdout
    assert results(own) == expected

    shutil.rmtree(own / MODEL)
    assert stop_after(own, 60, signal.SIGTERM)[0] == 75
    assert rpt(own, "config", "-o", f"runs.{RUN}.seed=1").returncode == 0
    code, said = train(own)
    assert code == 0
    (note,) = [message["markdown"] for message in said if message["event"] == "note"]
    assert "a checkpoint at step" in note
    assert note.endswith("other parameters: run.seed; `./rpt gc` removes it")
    assert results(own)["model.safetensors"] != expected["model.safetensors"]


def test_a_checkpoint_of_other_code_is_kept_and_taken_up_again(own, expected, rpt):
    assert stop_after(own, 60, signal.SIGTERM)[0] == 75
    (scratch,) = (own / ".work" / "training" / RUN).glob("*/")
    kept = str(scratch.relative_to(own))
    append(own / "stages/training/training.py", "K = 1")
    (row,) = json.loads(rpt(own, "gc", "--json").stdout)["unused"]
    assert (row["scratch"], row["why"]) == (kept, "other code: stages/training/training.py")

    done = rpt(own, "run", "--from-checkpoint", kept, f"training@{RUN}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "takes up the checkpoint of step" in done.stdout
    assert results(own) == expected
    assert "nothing removed" in rpt(own, "gc", "--yes").stdout
    again = rpt(own, "run", "--from-checkpoint", kept, f"training@{RUN}")
    assert again.returncode == 2


def test_ctrl_c_in_rpt_run_writes_a_checkpoint(own, rpt):
    """Through the supervisor and DVC. The only checkpoint is the one that the signal asked for."""
    log = own / ".run" / "training" / f"{RUN}.jsonl"
    log.unlink(missing_ok=True)
    assert (
        rpt(own, "config", "-o", "runtime.checkpoint_seconds=300", "-o", "training.steps=3000").returncode
        == 0
    )
    child = start(own, "flows.cli", "run", f"training@{RUN}")
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_bytes().count(b"\n") > 30):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 75
    (checkpoint,) = (own / ".work" / "training" / RUN).glob("*/checkpoints/*")
    assert (checkpoint / "manifest.json").exists()
    assert (checkpoint / "losses.jsonl").read_bytes().count(b"\n") == int(checkpoint.name) > 30
