"""What no linter knows of this code: each engine is imported in one file, and locks name no host.
`./rpt lint` is the rest.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("package", "folders"),
    [
        ("ray", {"stages/runner/ray_map.py"}),
        ("dvc", {"flows/dvc_child.py"}),
        ("vllm", {"stages/engines/vllm_engine.py"}),
        ("wandb", {"stages/training/wandb_tracker.py"}),
    ],
)
def test_an_engine_is_imported_in_one_file(package, folders):
    pattern = re.compile(rf"^\s*(import {package}\b|from {package}[. ])", re.MULTILINE)
    files = [
        path
        for folder in ("flows", "infra", "stages", "reports", "model", "data_contracts")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert {
        path.relative_to(ROOT).as_posix() for path in files if pattern.search(path.read_text())
    } <= folders


def test_locks_name_no_host_and_pin_every_package_with_a_hash():
    for lock in ROOT.glob("requirements*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "--index-url" not in text
        pins = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)
        # Of the few that come beside the others, or have a compiler and the model alone.
        few = {"requirements-gguf.txt": 1, "requirements-minilm.txt": 1, "requirements-uv.txt": 1}
        few |= {
            "requirements-tpu-plan.txt": 35,
            "requirements-cuda-plan.txt": 35,
            "requirements-audit.txt": 25,
            "requirements-cuda.txt": 15,
            "requirements-tpu.txt": 1,
            "requirements-cluster.txt": 15,
            "requirements-wandb.txt": 5,
        }
        assert len(pins) >= few.get(lock.name, 100)
        assert text.count("--hash=sha256:") >= len(pins)
