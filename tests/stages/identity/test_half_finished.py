"""What a stopped shard stage leaves: the next run goes on with it only if it would do the same work, and
leaves the rest alone.
"""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_contracts.tokens import TOKENS
from stages import __main__ as command
from stages.identity import work_identity
from stages.parameters import Runtime
from stages.runner.messages import Messages
from stages.runner.stage import CORPUS_STAGES, ShardStage
from tests.stages.artifacts import write_artifact
from tests.tiny import tiny_geometry

STAGE = ShardStage("counting", lambda table: table, ("geometry",), (TOKENS,), TOKENS, "counted")


@pytest.fixture
def left_by(tmp_path, monkeypatch, say):
    """(geometry, number of tokens) -> the shards that a run finds finished, which is stopped when it has
    written `new`.
    """
    monkeypatch.chdir(tmp_path)
    found = list[list[str]]()

    def stopped(stage: ShardStage, artifacts: list, scratch: Path, *_: object) -> None:
        found.append(sorted(path.name for path in scratch.iterdir()))
        (scratch / "new").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write_all", stopped)

    def run(geometry, count: int) -> list[str]:
        table = TOKENS.table(
            {"doc_id": ["a"], "split": ["train"], "token_ids": [np.arange(count, dtype=np.uint32)]},
            tokenizer="x",
        )
        write_artifact(TOKENS, tmp_path / "artifacts" / "demo" / "tokens", table)
        with pytest.raises(KeyboardInterrupt):
            command.run_shards(STAGE, "demo", SimpleNamespace(geometry=geometry, runtime=Runtime()), say)
        return found[-1]

    monkeypatch.setattr(work_identity, "CHECKOUT", tmp_path)
    monkeypatch.setitem(CORPUS_STAGES, "counting", "counting")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/counting.py").write_text("K = 1\n")
    return run


@pytest.fixture
def say() -> Messages:
    return Messages(io.StringIO())


def notes(say: Messages) -> list[str]:
    """What was said since this was last asked."""
    said = [json.loads(line)["markdown"] for line in say.stream.getvalue().splitlines()]
    say.stream.seek(0)
    say.stream.truncate()
    return said


def test_shards_of_other_parameters_or_other_inputs_are_not_gone_on_with(left_by, say):
    geometry, other = tiny_geometry(), tiny_geometry(chunk_tokens=16)
    assert left_by(geometry, 8) == []
    assert left_by(geometry, 8) == ["new"], "the same work goes on"
    assert notes(say) == []
    assert left_by(other, 8) == []
    (note,) = notes(say)
    assert "half-finished work, 1 files or folders" in note
    assert "other parameters: geometry.chunk_tokens; `./rpt gc` removes it" in note
    assert left_by(other, 9) == []
    assert len(notes(say)) == 2
    assert left_by(geometry, 8) == ["new"], "what was set aside is taken up again when it fits"


def test_what_a_killed_writer_left_half_written_is_never_published(left_by, say, tmp_path):
    """As a kill while the manifest is written."""
    left_by(tiny_geometry(), 8)
    (scratch,) = [path for path in (tmp_path / ".work/counting/demo").iterdir() if path.is_dir()]
    (scratch / "deeper").mkdir()
    for name in (".manifest.json.77.tmp", "deeper/.config.json.78.tmp"):
        (scratch / name).write_text("{")
    assert left_by(tiny_geometry(), 8) == ["deeper", "new"]
    assert not list((scratch / "deeper").iterdir())


def test_a_comment_changes_nothing_and_a_constant_sets_aside(left_by, say, tmp_path):
    assert left_by(tiny_geometry(), 8) == []
    (tmp_path / "stages/counting.py").write_text('"""A docstring."""\n\nK = 1  # and a comment\n')
    assert left_by(tiny_geometry(), 8) == ["new"]
    assert notes(say) == []
    (tmp_path / "stages/counting.py").write_text("K = 2\n")
    assert left_by(tiny_geometry(), 8) == []
    assert "other code: stages/counting.py; `./rpt gc` removes it" in notes(say)[0]


def test_a_stage_that_has_finished_leaves_no_scratch(left_by, say, tmp_path, monkeypatch):
    left_by(tiny_geometry(), 8)
    monkeypatch.setattr(command, "write_all", lambda *_: None)
    monkeypatch.setattr(command, "commit", lambda *_: None)
    configuration = SimpleNamespace(geometry=tiny_geometry(chunk_tokens=16), runtime=Runtime())
    command.run_shards(STAGE, "demo", configuration, say)
    assert (tmp_path / "artifacts/demo/counted").is_dir()
    assert not (tmp_path / ".work/counting/demo").exists()
