"""One run at a time holds the workspace."""

import pytest

from data_contracts.failure import Exit, Failure
from flows import workspace
from flows.workspace import workspace_lock


def test_a_second_holder_is_refused_until_the_first_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "STATE", tmp_path / "state")
    for purpose in ("the first run", "the second run"):
        with workspace_lock(purpose):
            with pytest.raises(Failure, match=purpose) as failure, workspace_lock("another"):
                pass
            assert failure.value.code == Exit.LOCKED
