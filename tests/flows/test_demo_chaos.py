"""`./rpt demo --chaos` on a tiny pipeline: five kills and the bytes of an undisturbed run; and what it would
call a difference.
"""

import json
import subprocess
import sys

import pytest

from data_contracts.failure import Failure
from flows.commands import demo_chaos
from tests.pipelines import environment, private


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_demo_that_is_killed_five_times_makes_the_same_bytes(finished, tmp_path):
    own = private(finished, tmp_path / "project")
    command = [sys.executable, "-m", "flows.cli", "demo", "--chaos"]
    done = subprocess.run(
        command, cwd=own, env=environment(own), text=True, capture_output=True, timeout=2300, check=False
    )
    log = own / ".run" / "chaos" / "out.log"
    assert done.returncode == 0, (
        done.stdout[-3000:] + done.stderr[-3000:] + (log.read_text()[-3000:] if log.exists() else "")
    )
    assert done.stdout.count("kill -9 in ") == demo_chaos.KILLS
    assert "byte for byte" in done.stdout
    assert not (own / ".run" / "chaos").exists()


def tree(root, **files):
    for name, text in files.items():
        path = root / "artifacts" / "demo" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    outs = [
        {"path": "artifacts/demo/tokens"},
        {"path": "artifacts/demo/one.json"},
        {"path": "metrics/demo.json"},
    ]
    (root / "dvc.lock").write_text(
        json.dumps({"schema": "2.0", "stages": {"a": {"cmd": "x", "outs": outs}, "b": {"cmd": "y"}}})
    )
    return root


def test_a_file_that_is_other_missing_or_too_many_is_a_difference(tmp_path):
    first = tree(tmp_path / "first", tokens__a="1", tokens__b="2", **{"one.json": "3", "other__z": "ignored"})
    places = demo_chaos.outputs(first)
    assert places == ["artifacts/demo/one.json", "artifacts/demo/tokens"]
    same = tree(tmp_path / "same", tokens__a="1", tokens__b="2", **{"one.json": "3"})
    assert demo_chaos.differing(first, same, places) == []
    other = tree(tmp_path / "other", tokens__a="1", tokens__c="2", **{"one.json": "4"})
    expected = ["artifacts/demo/one.json", "artifacts/demo/tokens/b", "artifacts/demo/tokens/c"]
    assert (
        demo_chaos.differing(first, other, places) == demo_chaos.differing(other, first, places) == expected
    )


def test_other_bytes_after_kills_are_a_broken_contract(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_chaos, "STATE", tmp_path / "state")
    monkeypatch.setattr(demo_chaos, "ROOT", tree(tmp_path / "root", tokens__a="1"))
    monkeypatch.setattr(demo_chaos, "copy_checkout", lambda copy: tree(copy, tokens__a="2"))
    monkeypatch.setattr(demo_chaos, "_kill", lambda copy, seconds: None)
    monkeypatch.setattr(demo_chaos, "_finish", lambda copy: 0)
    with pytest.raises(Failure, match="1 files differ after 0 kills"):
        demo_chaos.disturb(seed=0)
