"""What a stopped shard stage leaves: the next run goes on with it only if it would do the same work."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_contracts.tokens import TOKENS
from stages import __main__ as command
from stages.parameters import Runtime
from stages.stage import ShardStage
from tests.stages.artifacts import write_artifact
from tests.tiny import tiny_context, tiny_geometry

STAGE = ShardStage("counting", lambda table: table, ("geometry",), (TOKENS,), TOKENS, "counted")


@pytest.fixture
def left_by(tmp_path, monkeypatch):
    """(geometry, number of tokens) -> the shards that a run finds finished, which is stopped when it has written `new`."""
    monkeypatch.chdir(tmp_path)
    found = list[list[str]]()

    def stopped(stage: ShardStage, artifacts: list, scratch: Path, *_: object) -> None:
        found.append([path.name for path in scratch.iterdir()])
        (scratch / "new").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write_all", stopped)

    def run(geometry, count: int) -> list[str]:
        table = TOKENS.table({"doc_id": ["a"], "split": ["train"], "token_ids": [np.arange(count, dtype=np.uint32)]}, tokenizer="x")
        write_artifact(TOKENS, tmp_path / "artifacts" / "demo" / "tokens", table)
        with pytest.raises(KeyboardInterrupt):
            command.run_shards(STAGE, "demo", SimpleNamespace(geometry=geometry, runtime=Runtime()), tiny_context(tmp_path).say)
        return found[-1]

    return run


def test_shards_of_other_parameters_or_other_inputs_are_removed(left_by):
    geometry, other = tiny_geometry(), tiny_geometry(chunk_tokens=16)
    assert left_by(geometry, 8) == []
    assert left_by(geometry, 8) == ["new"], "the same work goes on"
    assert left_by(other, 8) == []
    assert left_by(other, 8) == ["new"]
    assert left_by(other, 9) == []
    assert left_by(geometry, 8) == [], "they are not kept for later either"
