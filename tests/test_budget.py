"""The budget of test time: what is named, what fails, and that every folder has one."""

import os
import subprocess
import sys
import tomllib

import pytest

from tests.budget import BUDGET, folder_of, verdict
from tests.pipelines import ROOT


@pytest.mark.parametrize(
    ("spent", "named", "failed"),
    [(14.9, False, False), (15.0, True, False), (29.9, True, False), (30.0, True, True)],
)
def test_a_folder_is_named_from_half_again_and_fails_from_three_times(spent, named, failed):
    lines, fails = verdict({"a": spent, "b": 0.1}, {"a": 10.0, "b": 10.0})
    assert (bool(lines), fails) == (named, failed)
    assert all("tests/a" in line for line in lines)


def test_a_folder_without_a_budget_fails():
    assert verdict({"new": 0.0}, {"a": 10.0}) == (
        ["tests/new: 0 s and no budget: add it to budget.toml"],
        True,
    )


def test_every_folder_of_tests_has_a_budget_and_no_other():
    folders = {folder_of(path.relative_to(ROOT).as_posix()) for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(tomllib.loads(BUDGET.read_text())["seconds"]) == folders


def test_a_dear_folder_fails_the_run_that_asked_for_it(tmp_path):
    home = tmp_path / "tests" / "cheap"
    home.mkdir(parents=True)
    (home / "test_slow.py").write_text("import time\ndef test_slow(): time.sleep(0.4)\n")
    (tmp_path / "tests" / "budget.py").write_text((ROOT / "tests" / "budget.py").read_text())
    command = [sys.executable, "-m", "pytest", "-p", "tests.budget", "-q", "--rootdir", ".", "tests"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for budget, code in ((10.0, 0), (0.1, 1)):
        (tmp_path / "tests" / "budget.toml").write_text(f"[seconds]\ncheap = {budget}\n")
        done = subprocess.run(
            [*command, "--budget"], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert ("times its budget" in done.stdout) == bool(code)
