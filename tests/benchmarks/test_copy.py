"""A copy has everything that git knows of but what a run has left."""

import subprocess
from pathlib import Path

from benchmarks._copy import fresh_copy
from flows.commands.fresh_copy import KEPT_OUT
from flows.workspace import ROOT


def test_every_tracked_file_is_copied(tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    wanted = {
        name for name in tracked if name and (ROOT / name).exists() and name.split("/")[0] not in KEPT_OUT
    }
    assert "reports/metrics/gates.py" in wanted
    copy = fresh_copy(tmp_path)
    assert {name for name in wanted if not (copy / name).exists()} == set()
    assert not [copy / name for name in KEPT_OUT if (copy / name).exists()]
