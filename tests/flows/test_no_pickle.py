"""Nothing that is read from artifacts, checkpoints or model directories is unpickled: an audit hook would see
a class being looked up.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines import environment, private

WATCHED = """
import json, pickle, sys

seen = []
def hook(event, values):
    if event == "pickle.find_class":
        seen.append([str(value) for value in values])
sys.addaudithook(hook)
from pathlib import PurePosixPath
pickle.loads(pickle.dumps(PurePosixPath("a")))
assert seen, "the hook sees nothing"
seen.clear()
from stages.__main__ import main

codes = {stage: main(stage.split("@")) for stage in sys.argv[1:]}
with open("audited.json", "w") as file:
    json.dump({"codes": codes, "seen": seen}, file)
"""
STAGES = (
    "tokenizer@demo",
    "reference_lm@demo",
    "label_gates@demo",
    "training@demo-retro",
    "evaluation@demo-retro",
    "report@demo",
)


@pytest.mark.slow
def test_stages_unpickle_nothing(finished: Path, tmp_path: Path) -> None:
    """Artifacts of every kind, tokenizer, reference LM and trained model are read, a model is trained and
    saved.
    """
    root = private(finished, tmp_path / "project")
    child = subprocess.run(
        [sys.executable, "-c", WATCHED, *STAGES],
        cwd=root,
        env=environment(root),
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    audited = json.loads((root / "audited.json").read_text())
    assert audited["codes"] == dict.fromkeys(STAGES, 0), child.stderr
    assert audited["seen"] == []
