"""Shards on a real Ray: the same bytes whatever the number of workers, resume, and failures that name their shards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import TOKENS
from stages.messages import Messages
from stages.packing import STAGE
from stages.parameters import Geometry, Runtime
from stages.ray_map import stop_ray
from stages.shards import write_all

ROOT = Path(__file__).resolve().parents[2]
GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
SHARDS = 6


@pytest.fixture
def tokens(tmp_path):
    directory = tmp_path / "tokens"
    directory.mkdir()
    for number in range(SHARDS):
        rows = [np.arange(300 + number, dtype=np.uint32)]
        table = TOKENS.table({"doc_id": [f"d{number}"], "split": ["train"], "token_ids": rows}, tokenizer="x")
        write_shard(TOKENS, table, directory / f"part-{number:05d}.parquet")
    commit(TOKENS, directory)
    return directory


@pytest.fixture(autouse=True)
def private_ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    stop_ray()


def run(tokens: Path, scratch: Path, workers: int) -> dict[str, bytes]:
    scratch.mkdir(exist_ok=True)
    with open(os.devnull, "w") as nowhere:
        write_all(STAGE, [open_artifact(TOKENS, tokens)], scratch, {"geometry": GEOMETRY}, Runtime(workers=workers), Messages(nowhere))
    return {path.name: path.read_bytes() for path in sorted(scratch.glob("part-*"))}


def test_one_and_two_workers_write_the_same_bytes(tokens, tmp_path):
    one = run(tokens, tmp_path / "one", 1)
    stop_ray()
    two = run(tokens, tmp_path / "two", 2)
    assert len(one) == SHARDS
    assert one == two


def test_finished_shards_are_kept_and_broken_ones_named(tokens, tmp_path):
    victim = tokens / "part-00003.parquet"
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + b"x")
    with pytest.raises(Failure, match=r"part-00003\.parquet") as failure:
        run(tokens, tmp_path / "out", 1)
    assert failure.value.code == Exit.CONTRACT
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert kept
    assert victim.name not in kept
    victim.write_bytes(good)
    assert len(run(tokens, tmp_path / "out", 1)) == SHARDS
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time_ for name, time_ in kept.items()), (
        "a finished shard is not written again"
    )


def test_a_killed_driver_leaves_no_partial_shard(tokens, tmp_path):
    scratch = tmp_path / "out"
    scratch.mkdir()
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3]);"
        "from data_contracts.contract import open_artifact; from data_contracts.tokens import TOKENS;"
        "from stages.shards import write_all; from stages.packing import STAGE;"
        "from stages.parameters import Geometry, Runtime; from stages.messages import Messages;"
        "g = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2);"
        "tokens, out = open_artifact(TOKENS, Path(sys.argv[1])), Path(sys.argv[2]);"
        "write_all(STAGE, [tokens], out, {'geometry': g}, Runtime(workers=1), Messages())"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tokens), str(scratch), str(ROOT)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 120
    while not list(scratch.glob("part-*")) and child.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    relatives = psutil.Process(child.pid).children(recursive=True) if child.poll() is None else []
    child.send_signal(signal.SIGKILL)
    child.wait()
    psutil.wait_procs(relatives, timeout=60)
    clean = run(tokens, tmp_path / "clean", 1)
    assert run(tokens, scratch, 1) == clean
