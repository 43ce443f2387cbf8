"""A checkpoint of other code is kept, said, and taken up again by who asks for it; one of other work is
refused.
"""

import io
import json
from pathlib import Path

import pytest

from data_contracts.failure import Exit, Failure
from stages.identity.from_checkpoint import VARIABLE, ask_for, take_up
from stages.identity.scratch import finish, open_scratch
from stages.runner.messages import Messages

OLD = {
    "code": {"stages/training/training.py": "1"},
    "inputs": {"sequences": "a"},
    "parameters": {"training": {"steps": 9, "width": 4}},
}
NEW = OLD | {"code": {"stages/training/training.py": "2"}}


@pytest.fixture
def say() -> Messages:
    return Messages(io.StringIO())


@pytest.fixture
def left(tmp_path, monkeypatch, say) -> Path:
    """Scratch of the old code with two checkpoints."""
    monkeypatch.chdir(tmp_path)
    scratch = open_scratch("training", "a-run", OLD, say)
    checkpoint(scratch, 3)
    checkpoint(scratch, 61000)
    return scratch


def checkpoint(scratch: Path, step: int) -> None:
    place = scratch / "checkpoints" / f"{step:08d}"
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(str(step))


def notes(say: Messages) -> list[str]:
    return [json.loads(line)["markdown"] for line in say.stream.getvalue().splitlines()]


def steps(scratch: Path) -> list[str]:
    return sorted(path.name for path in (scratch / "checkpoints").glob("*"))


def test_the_newest_checkpoint_is_said_with_what_can_be_done(left, say):
    mine = open_scratch("training", "a-run", NEW, say)
    (note,) = notes(say)
    assert note.startswith("**a-run**: a checkpoint at step 61,000 of 20")
    assert (
        f" is kept in {left} until this stage has finished; other code: stages/training/training.py; " in note
    )
    assert f"; `./rpt run --from-checkpoint {left} training@a-run` goes on from it, " in note
    assert note.endswith("`./rpt gc` removes it")
    finish(mine)
    assert not left.exists()


def test_it_is_copied_for_the_stage_that_was_asked_for(left, say, monkeypatch):
    monkeypatch.setenv(VARIABLE, ask_for(left, ["training@a-run"]))
    other, mine = open_scratch("training", "other-run", NEW, say), open_scratch("training", "a-run", NEW, say)
    take_up(other, "training", "other-run", NEW, say)
    assert steps(other) == []
    checkpoint(mine, 12)
    take_up(mine, "training", "a-run", NEW, say)
    assert steps(mine) == ["00000012", "00061000"]
    assert (mine / "checkpoints/00061000/manifest.json").read_text() == "61000"
    assert steps(left) == ["00000003", "00061000"]
    assert "takes up the checkpoint of step 61,000" in notes(say)[-1]
    with pytest.raises(Failure, match="has come further by itself"):
        take_up(mine, "training", "a-run", NEW, say)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (NEW | {"parameters": {"training": {"steps": 10, "width": 4}}}, "other parameters: training.steps"),
        (NEW | {"inputs": {"sequences": "b"}}, "other inputs: sequences"),
    ],
)
def test_that_of_other_work_is_refused(left, say, monkeypatch, now, words):
    mine = open_scratch("training", "a-run", now, say)
    assert "--from-checkpoint" not in notes(say)[0]
    monkeypatch.setenv(VARIABLE, ask_for(left, ["training@a-run"]))
    with pytest.raises(Failure, match=words) as refused:
        take_up(mine, "training", "a-run", now, say)
    assert refused.value.code == Exit.USAGE
    assert steps(mine) == []


@pytest.mark.parametrize("stages", [[], ["training"], ["training@a-run", "training@b-run"]])
def test_one_training_is_to_be_named(left, stages):
    with pytest.raises(Failure, match="it is of one training"):
        ask_for(left, stages)


def test_a_directory_without_a_checkpoint_is_refused(left, tmp_path):
    with pytest.raises(Failure, match="there is no checkpoint"):
        ask_for(tmp_path, ["training@a-run"])
