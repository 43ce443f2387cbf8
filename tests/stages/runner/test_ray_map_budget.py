"""A deadline stops ray_map between shards; what was begun is kept, and the next call goes on."""

import os
import time
from pathlib import Path

import pytest

from data_contracts.failure import Exit, Failure
from stages.parameters import Runtime
from stages.runner.messages import Messages
from stages.runner.ray_map import ray_map, stop_ray
from tests.pipelines import joined_ray

SHARDS = [f"part-{number:05d}.parquet" for number in range(4)]


@pytest.fixture
def one_worker(monkeypatch):
    for name, value in joined_ray()[0].items():
        monkeypatch.setenv(name, value)
    stop_ray()
    yield Runtime(workers=1)
    stop_ray()


def test_after_the_deadline_no_shard_is_begun_and_the_next_run_goes_on(one_worker, tmp_path):
    ended: list[int] = []

    def go(shards: list[str], until: float, **options) -> None:
        def write(shard: str, scratch: Path) -> None:
            import time

            (scratch / shard).write_text("")
            while time.time() < until:
                time.sleep(0.05)

        with open(os.devnull, "w") as nowhere:
            ray_map(
                write,
                shards,
                tmp_path,
                {},
                one_worker,
                Messages(nowhere),
                "a test",
                after_shard=lambda: ended.append(1),
                **options,
            )

    go(["a worker that is up"], 0.0)
    ended.clear()
    deadline = time.time() + 4.0
    with pytest.raises(Failure, match="1 of 4 shards are done and kept") as failure:
        go(SHARDS, deadline, deadline=deadline)
    assert failure.value.code == Exit.BUDGET
    assert sorted(path.name for path in tmp_path.glob("part-*")) == SHARDS[:1], (
        "the one in flight ends, the one that waited is not begun"
    )
    first = (tmp_path / SHARDS[0]).stat().st_mtime_ns
    with pytest.raises(Failure, match="1 of 4"):
        go(SHARDS, 0.0, deadline=deadline)
    assert len(ended) == 1
    go(SHARDS, 0.0)
    assert sorted(path.name for path in tmp_path.glob("part-*")) == SHARDS
    assert (tmp_path / SHARDS[0]).stat().st_mtime_ns == first
    assert len(ended) == 4
