"""A small part of `./rpt bench chaos`: a writer of which every call fails once, and what the trials count as
a fault.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _chaos_trials as trials
from benchmarks import _failing_calls as failing


def test_settings_are_whole_whichever_call_fails(tmp_path):
    tally = failing.fail_each("settings", tmp_path)
    assert tally.calls == 3, "open, fsync, rename"
    assert tally.writes == len(failing.SIZES)
    assert tally.faults == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("artifact", 15), ("ledger", 50), ("checkpoint", 30)])
def test_a_writer_whose_calls_fail_one_by_one_leaves_what_was_there_or_what_comes(tmp_path, name, least):
    tally = failing.fail_each(name, tmp_path)
    assert tally.faults == []
    assert tally.calls >= least


def test_a_writer_in_place_is_found_out(tmp_path, monkeypatch):
    torn = failing.Writer(
        failing.WRITERS["settings"].begin,
        lambda place: (place / "params.yaml").write_bytes(b"new" * 1000) and None,
        failing.WRITERS["settings"].state,
        failing.EITHER,
        "new",
    )
    monkeypatch.setitem(failing.WRITERS, "torn", torn)
    assert any("a mixture is read" in fault for fault in failing.fail_each("torn", tmp_path).faults)


def test_a_checkpoint_that_orbax_does_not_find_again_is_not_called_whole(tmp_path, monkeypatch):
    """Orbax warns of some failures and goes on: the last whole checkpoint must stand then, and the next run
    must not break.
    """
    from stages.training.checkpoints import Checkpoints

    failing.WRITERS["checkpoint"].begin(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_stored", lambda self, place: None)
        with pytest.raises(failing.Failure, match="does not find its arrays"):
            failing.WRITERS["checkpoint"].act(tmp_path)
    assert failing.WRITERS["checkpoint"].state(tmp_path) == "old"


def test_other_bytes_at_the_end_are_a_fault(tmp_path, monkeypatch):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "a").write_text("1")
    project = trials.Project(tmp_path, {}, expected={})
    monkeypatch.setattr(trials.Project, "run", lambda self, *arguments: 0)
    with pytest.raises(trials.Fault, match="1 files are not those of an undisturbed run: artifacts/a"):
        trials._end(project)
    project.expected = project.digests()
    trials._end(project)


@pytest.mark.parametrize("seed", range(6))
def test_damage_never_reaches_what_is_linked(tmp_path, seed):
    original, linked = tmp_path / "cache", tmp_path / "part.parquet"
    original.write_bytes(bytes(range(200)))
    os.link(original, linked)
    trials._damage(linked, np.random.default_rng(seed))
    assert original.read_bytes() == bytes(range(200))
    assert not linked.exists() or linked.read_bytes() != original.read_bytes()


def test_a_tiny_project_has_a_repository_of_its_own(tmp_path):
    """In a worktree `.git` is a file that leads to the repository of the checkout: a commit in a copy would
    be one on its branch.
    """
    from benchmarks._tiny_project import make_tiny

    root = tmp_path / "rpt"
    shutil.copytree(
        Path(__file__).parents[2],
        root,
        ignore=shutil.ignore_patterns(".git", ".run", ".venv*", "artifacts", "__pycache__", ".dvc"),
    )
    (root / ".git").write_text(f"gitdir: {tmp_path / 'elsewhere'}\n")
    make_tiny(root)
    assert (root / ".git").is_dir()
    assert len(list((root / "texts").iterdir())) == 6
