"""A BERT from the hub: what is asked for, and what is refused before its weights are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stages.local_hub import COMMIT, Hub, serving
from tests.stages.tiny_bert import write_bert

ROOT = Path(__file__).resolve().parents[2]
FIND = """
import time

time.sleep = lambda seconds: None  # the library waits before it tries again, 23 seconds in all
from data_contracts.failure import Failure
from stages.bert import find_bert

try:
    found = find_bert("org/lm", "%s", "dense_retriever")
    print(found.config.hidden_size, len(found.parameters))
except Failure as failure:
    print(int(failure.code), failure.what, failure.cause)
"""


@pytest.fixture
def files(tmp_path) -> dict[str, bytes]:
    write_bert(tmp_path / "bert", ["some text of a few words"])
    (tmp_path / "bert" / "pytorch_model.bin").write_text("not to be fetched")
    return {path.name: path.read_bytes() for path in (tmp_path / "bert").iterdir()}


def find(place: Path, hub: Hub, **environment: str) -> str:
    known = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(place / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", FIND % COMMIT]
    done = subprocess.run(
        command,
        env={**os.environ, **known, **environment},
        text=True,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_it_is_fetched_once_and_stays_without_the_hub(files, tmp_path):
    with serving(files) as hub:
        assert find(tmp_path, hub) == "16 37"
        assert {*hub.asked} == {"config.json", "tokenizer.json", "model.safetensors"}
        hub.asked.clear()
        assert find(tmp_path, hub, HF_HUB_OFFLINE="1") == "16 37"
        assert not hub.asked


def test_another_model_is_refused_before_its_weights_are_downloaded(files, tmp_path):
    config = {**json.loads(files["config.json"]), "auto_map": {"AutoModel": "evil.Model"}}
    with serving({**files, "config.json": json.dumps(config).encode()}) as hub:
        assert find(tmp_path, hub).startswith("2 org/lm cannot be the encoder config.json has auto_map")
        assert "model.safetensors" not in hub.asked


def test_without_safetensors_nothing_is_opened(files, tmp_path):
    with serving({name: body for name, body in files.items() if name != "model.safetensors"}) as hub:
        assert "holds no *.safetensors" in find(tmp_path, hub)
        assert "pytorch_model.bin" not in hub.asked


def test_a_hub_that_cannot_be_reached_is_a_matter_of_the_environment(tmp_path):
    with serving({}) as hub:
        pass
    assert find(tmp_path, hub).startswith("5 org/lm at 0123456789ab could not be downloaded")
