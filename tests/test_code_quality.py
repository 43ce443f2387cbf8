"""Lint, format, types and layers are tests like any other, so that one command says whether a change may land."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]],
    ids=lambda command: " ".join(command),
)
def test_tool_finds_nothing(command):
    done = subprocess.run([TOOLS / command[0], *command[1:]], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    ("package", "folders"), [("ray", {"stages/ray_map.py"}), ("dvc", {"flows/dvc_task.py"}), ("vllm", {"stages/engines/vllm_engine.py"})]
)
def test_an_engine_is_imported_in_one_file(package, folders):
    pattern = re.compile(rf"^\s*(import {package}\b|from {package}[. ])", re.MULTILINE)
    files = [
        path for folder in ("flows", "infra", "stages", "reports", "model", "data_contracts") for path in (ROOT / folder).rglob("*.py")
    ]
    assert {path.relative_to(ROOT).as_posix() for path in files if pattern.search(path.read_text())} <= folders


def test_locks_name_no_host_and_pin_every_package_with_a_hash():
    for lock in ROOT.glob("requirements*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "--index-url" not in text
        pins = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)
        assert len(pins) > 100
        assert text.count("--hash=sha256:") >= len(pins)
