"""Completion at TAB, and a help that leaves the disk as it was."""

import os
import shutil
import subprocess
import sys

import pytest

from flows.workspace import ROOT


def call(place, *words):
    environment = {**os.environ, "HOME": str(place), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-B", "-m", "flows.cli", *words]
    return subprocess.run(
        command, env=environment, text=True, capture_output=True, check=True, cwd=ROOT
    ).stdout


@pytest.mark.parametrize(
    ("shell", "script", "started_by"),
    [
        ("bash", ".local/share/bash-completion/completions/rpt", ".bashrc"),
        ("zsh", ".zsh/completions/_cyclopts_rpt", ".zshrc"),
        ("fish", ".config/fish/completions/rpt.fish", None),
    ],
)
def test_the_script_is_where_it_is_said_to_be(tmp_path, shell, script, started_by):
    said = call(tmp_path, "--install-completion", "--shell", shell)
    assert str(tmp_path / script) in said
    assert started_by is None or started_by in {path.name for path in tmp_path.iterdir()}
    assert "plan" in (tmp_path / script).read_text()


@pytest.mark.parametrize(
    ("words", "completed"),
    [("./rpt pla", "plan"), ("rpt labels dif", "diff"), ("rpt plan --calib", "--calibrate")],
)
def test_bash_completes_commands_and_options(tmp_path, words, completed):
    call(tmp_path, "--install-completion", "--shell", "bash")
    listed = words.split()
    line = (
        f"source ~/.bashrc; COMP_WORDS=({words}); COMP_CWORD={len(listed) - 1}; _rpt; echo ${{COMPREPLY[@]}}"
    )
    found = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "HOME": str(tmp_path)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert completed in found.stdout.split()
    assert found.stderr == ""


@pytest.mark.parametrize("words", [["--help"], ["plan", "--help"], ["labels", "diff", "-h"], ["--version"]])
def test_help_changes_nothing_on_disk(project, tmp_path, words):
    copy = {"flows", "data_contracts", "infra", "reports", "stages"}
    for name in copy:
        shutil.copytree(project / name, tmp_path / name, symlinks=False)
    command = [sys.executable, "-B", "-m", "flows.cli", *words]
    said = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
    )
    assert said.stdout
    assert {path.name for path in tmp_path.iterdir()} == copy
