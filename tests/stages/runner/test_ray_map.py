"""Shards on a real Ray: equal bytes for any number of workers, kills of workers and drivers, bounded work in
flight, named failures.
"""

import contextlib
import importlib
import io
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, TOKENS
from stages.parameters import Geometry, Runtime
from stages.runner import ray_workers
from stages.runner.messages import Messages
from stages.runner.ray_map import ray_call, ray_map, start_ray, stop_ray
from stages.runner.ray_workers import SHARD_MEMORY
from stages.runner.shards import write_all, write_one
from stages.runner.stage import load_stage
from stages.supervision.packing import STAGE
from tests.pipelines import joined_ray

ROOT = Path(__file__).resolve().parents[3]
GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
SHARDS = [f"part-{number:05d}.parquet" for number in range(8)]
VICTIM = SHARDS[3]


@pytest.fixture(scope="module", autouse=True)
def tasks():
    """The module of tasks. Ray's workers find it by what they inherit from whoever starts Ray."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_AUTH_MODE", "token")  # read when ray is imported
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{Path(__file__).parent}")
        patch.syspath_prepend(Path(__file__).parent)
        yield importlib.import_module("ray_tasks")


@pytest.fixture
def own_ray():
    """No Ray before and none after."""
    stop_ray()
    yield
    stop_ray()


@pytest.fixture(scope="module")
def kept_ray(tasks):
    """(what it is, how it starts): a Ray that stays until a test wants another, so that those that do not
    mind share one.
    """
    import ray

    kept = None

    def wanted(name: str, start: Callable[[], object]) -> None:
        nonlocal kept
        if kept != name or not ray.is_initialized():
            stop_ray()
            start()
            kept = name

    yield wanted
    stop_ray()


@pytest.fixture
def two_workers(kept_ray) -> Runtime:
    kept_ray("two workers", lambda: start_ray(Runtime(workers=2)))
    return Runtime(workers=2)


def large_machine() -> None:
    """Start a Ray that believes in three CPUs and two GPUs, with memory for two shards and a half."""
    import ray

    memory = SHARD_MEMORY * 5 // 2
    ray.init(
        address="local", num_cpus=3, num_gpus=2, _memory=memory, include_dashboard=False, log_to_driver=False
    )


@pytest.fixture
def two_gpus(kept_ray) -> None:
    kept_ray("a large machine", large_machine)


@pytest.fixture
def retries(monkeypatch) -> int:
    """How often work that lost its worker is tried again: fewer times than ever, as each costs a process."""
    monkeypatch.setattr(ray_workers, "LOST_WORKER_RETRIES", 1)
    return 1


@pytest.fixture
def place(tmp_path):
    """(scratch directory, journal)."""
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch", tmp_path / "journal"


def silent() -> Messages:
    return Messages(io.StringIO())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def expected(tasks, directory: Path) -> dict[str, bytes]:
    """The same shards written without Ray."""
    directory.mkdir()
    for shard in SHARDS:
        tasks.write(shard, directory, directory.parent / "other journal")
    return contents(directory)


@pytest.fixture
def tokens(tmp_path):
    directory = tmp_path / "tokens"
    directory.mkdir()
    for number, shard in enumerate(SHARDS):
        rows = [np.arange(300 + number, dtype=np.uint32)]
        table = TOKENS.table({"doc_id": [f"d{number}"], "split": ["train"], "token_ids": rows}, tokenizer="x")
        write_shard(TOKENS, table, directory / shard)
    commit(TOKENS, directory)
    return directory


def pack(tokens: Path, scratch: Path, runtime: Runtime) -> dict[str, bytes]:
    scratch.mkdir(exist_ok=True)
    write_all(STAGE, [open_artifact(TOKENS, tokens)], scratch, {"geometry": GEOMETRY}, runtime, silent())
    return contents(scratch)


def test_finished_shards_are_kept_and_broken_ones_named(two_workers, tokens, tmp_path):
    victim = tokens / VICTIM
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + b"x")
    with pytest.raises(Failure, match=VICTIM) as failure:
        pack(tokens, tmp_path / "out", two_workers)
    assert failure.value.code == Exit.CONTRACT
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert kept
    assert victim.name not in kept
    victim.write_bytes(good)
    assert list(pack(tokens, tmp_path / "out", two_workers)) == SHARDS
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time_ for name, time_ in kept.items()), (
        "a finished shard is not written again"
    )


def test_a_call_is_tried_again_when_its_worker_is_killed_and_an_error_is_named(tasks, two_workers, tmp_path):
    begun = [
        ray_call(tasks.double_or_die_once, (21, tmp_path / "journal"), two_workers, "the sum"),
        ray_call(tasks.refuse, (7,), two_workers, "x"),
    ]
    assert begun[0]() == 42
    assert tasks.attempts(tmp_path / "journal", "call") == 2
    with pytest.raises(Failure, match=r"x could not be made .* 7 is refused") as failure:
        begun[1]()
    assert failure.value.code == Exit.STAGE_FAILED


def test_the_driver_never_fetches_what_a_task_returns(tasks, two_workers, place):
    scratch, journal = place
    ray_map(tasks.write_and_return, SHARDS, scratch, {"journal": journal}, two_workers, silent(), "a test")
    assert list(contents(scratch)) == SHARDS


def test_at_most_twice_as_many_shards_as_workers_are_in_flight(tasks, two_workers, place):
    scratch, journal = place
    shards = [f"part-{number:05d}.parquet" for number in range(20)]
    ray_map(
        tasks.write_what_was_sent,
        shards,
        scratch,
        {"sent": tasks.Sent(journal)},
        two_workers,
        silent(),
        "a test",
    )
    events = [event for event, _, _ in tasks.notes(journal)]
    assert events.count("submit") == events.count("end") == len(shards)
    assert max(itertools.accumulate({"submit": 1, "begin": 0, "end": -1}[event] for event in events)) == 2 * 2


def test_a_killed_worker_costs_its_shard_alone(tasks, two_workers, place, tmp_path):
    scratch, journal = place
    killed = []

    def kill_the_stalled() -> None:
        end = time.monotonic() + 60
        while not killed and time.monotonic() < end:
            time.sleep(0.02)
            for event, _, process in tasks.notes(journal):
                if event == "stalled":
                    killed.append(psutil.Process(process).name())
                    os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_stalled)
    killer.start()
    ray_map(
        tasks.write_and_stall_once,
        SHARDS,
        scratch,
        {"journal": journal, "victim": VICTIM},
        two_workers,
        silent(),
        "a test",
    )
    killer.join()
    assert killed
    assert killed[0].startswith("ray::")
    assert contents(scratch) == expected(tasks, tmp_path / "without a kill")
    assert {shard: tasks.attempts(journal, shard) for shard in SHARDS} == {
        shard: 1 + (shard == VICTIM) for shard in SHARDS
    }


def test_a_shard_that_kills_its_worker_every_time_is_given_up_and_named(tasks, two_workers, place, retries):
    scratch, journal = place
    with pytest.raises(Failure, match=rf"could not write {VICTIM} ") as failure:
        ray_map(
            tasks.write_or_die,
            SHARDS,
            scratch,
            {"journal": journal, "victim": VICTIM},
            two_workers,
            silent(),
            "a test",
        )
    assert failure.value.code == Exit.INTERRUPTED
    assert tasks.attempts(journal, VICTIM) == 1 + retries


def test_after_the_deadline_no_shard_is_begun_and_the_next_run_goes_on(two_workers, tmp_path):
    """A shard holds both CPUs, so that one is in flight and the next one waits."""
    ended, shards = list[int](), SHARDS[:4]

    def go(names: list[str], until: float, **options) -> None:
        def write(shard: str, scratch: Path) -> None:
            import time

            (scratch / shard).write_text("")
            while time.time() < until:
                time.sleep(0.05)

        with open(os.devnull, "w") as nowhere:
            ray_map(
                write,
                names,
                tmp_path,
                {},
                two_workers,
                Messages(nowhere),
                "a test",
                cpus=2,
                after_shard=lambda: ended.append(1),
                **options,
            )

    go(["a worker that is up"], 0.0)
    ended.clear()
    deadline = time.time() + 4.0
    with pytest.raises(Failure, match="1 of 4 shards are done and kept") as failure:
        go(shards, deadline, deadline=deadline)
    assert failure.value.code == Exit.BUDGET
    assert sorted(path.name for path in tmp_path.glob("part-*")) == shards[:1], (
        "the one in flight ends, the one that waited is not begun"
    )
    first = (tmp_path / shards[0]).stat().st_mtime_ns
    with pytest.raises(Failure, match="1 of 4"):
        go(shards, 0.0, deadline=deadline)
    assert len(ended) == 1
    go(shards, 0.0)
    assert sorted(path.name for path in tmp_path.glob("part-*")) == shards
    assert (tmp_path / shards[0]).stat().st_mtime_ns == first
    assert len(ended) == 4


def test_a_killed_driver_leaves_whole_shards_that_are_not_written_again(tasks, two_workers, place, tmp_path):
    scratch, journal = place
    code = (
        "import sys; from pathlib import Path; import ray_tasks; ray_tasks.drive(Path(sys.argv[1]),"
        " Path(sys.argv[2]), sys.argv[3:])"
    )
    import ray

    joined = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-c", code, str(scratch), str(journal), *SHARDS]
    child = subprocess.Popen(command, env=joined, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while len(list(scratch.glob("part-*"))) < 3:
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    workers = [psutil.Process(process) for process in {process for _, _, process in tasks.notes(journal)}]
    child.kill()
    child.wait()
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    finished = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in scratch.glob("part-*")}
    assert 3 <= len(finished) < len(SHARDS)
    begun = sum(tasks.attempts(journal, shard) for shard in SHARDS)
    ray_map(tasks.write, SHARDS, scratch, {"journal": journal}, two_workers, silent(), "a test")
    assert contents(scratch) == expected(tasks, tmp_path / "without a kill")
    assert {
        name: (path.stat().st_ino, path.stat().st_mtime_ns) for name in finished for path in [scratch / name]
    } == finished
    assert all(tasks.attempts(journal, name) == 1 for name in finished)
    assert begun - len(finished) <= 2, "no more are redone than there were workers"


def test_one_two_and_three_workers_write_the_same_bytes(two_workers, kept_ray, tokens, tmp_path, monkeypatch):
    import ray

    for name, value in joined_ray().items():
        monkeypatch.setenv(name, value)
    places = {
        2: lambda: None,
        1: lambda: kept_ray("one worker", stop_ray),
        3: lambda: kept_ray("a large machine", large_machine),
    }
    written = {}
    for workers, start in places.items():
        start()
        written[workers] = pack(tokens, tmp_path / f"{workers}", Runtime(workers=workers))
        assert ray.cluster_resources()["CPU"] == workers
    assert list(written[1]) == SHARDS
    assert written[1] == written[2] == written[3]


@pytest.mark.parametrize(("wanted", "at_once"), [(SHARD_MEMORY, 2), (20 * SHARD_MEMORY, 1)])
def test_a_machine_with_little_memory_runs_fewer_shards_at_once_but_never_none(
    tasks, two_gpus, place, monkeypatch, wanted, at_once
):
    monkeypatch.setattr(ray_workers, "SHARD_MEMORY", wanted)
    scratch, journal = place
    ray_map(tasks.write, SHARDS, scratch, {"journal": journal, "seconds": 0.3}, Runtime(), silent(), "a test")
    steps = [{"begin": 1, "end": -1}[event] for event, _, _ in tasks.notes(journal)]
    assert list(contents(scratch)) == SHARDS
    assert max(itertools.accumulate(steps)) == at_once


def test_each_gpu_has_one_process_that_pulls_shards_until_none_is_left(tasks, two_gpus, place):
    scratch, journal = place
    slow = {shard: {"others": len(SHARDS) - 1 if shard == SHARDS[0] else 0} for shard in SHARDS}
    ray_map(
        tasks.write_on_gpu,
        SHARDS,
        scratch,
        {"journal": journal},
        Runtime(),
        silent(),
        "a test",
        cpus=0,
        own=slow,
    )
    assert list(contents(scratch)) == SHARDS
    gpu_of = {process: gpu for gpu, _, process in tasks.notes(journal)}
    assert sorted(gpu_of.values()) == ["gpu-0", "gpu-1"], "one process a GPU, each seeing its own"
    written = [process for _, _, process in tasks.notes(journal)]
    assert sorted(map(written.count, set(written))) == [
        1,
        len(SHARDS) - 1,
    ], "who is busy gets no second shard"


def test_a_killed_actor_is_started_again_and_costs_its_shard_alone(tasks, two_gpus, place):
    scratch, journal = place
    ray_map(
        tasks.write_or_die_once,
        SHARDS,
        scratch,
        {"journal": journal, "victim": VICTIM},
        Runtime(),
        silent(),
        "a test",
        cpus=0,
    )
    assert list(contents(scratch)) == SHARDS
    assert {shard: tasks.attempts(journal, shard) for shard in SHARDS} == {
        shard: 1 + (shard == VICTIM) for shard in SHARDS
    }


def test_a_shard_that_kills_its_actor_every_time_is_given_up_and_named(tasks, two_gpus, place, retries):
    scratch, journal = place
    with pytest.raises(Failure, match=rf"could not write {VICTIM} ") as failure:
        ray_map(
            tasks.write_or_die,
            SHARDS,
            scratch,
            {"journal": journal, "victim": VICTIM},
            Runtime(),
            silent(),
            "a test",
            cpus=0,
        )
    assert failure.value.code == Exit.INTERRUPTED
    assert tasks.attempts(journal, VICTIM) == 1 + retries


def test_work_that_wants_a_whole_machine_gets_one_process_on_each(tasks, own_ray, place):
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        scratch, journal = place
        ray_map(
            tasks.write,
            SHARDS,
            scratch,
            {"journal": journal, "seconds": 0.2},
            Runtime(),
            silent(),
            "a test",
            cpus=0,
        )
        assert list(contents(scratch)) == SHARDS
        assert len({process for _, _, process in tasks.notes(journal)}) == 2
    finally:
        stop_ray()
        cluster.shutdown()


def is_writing(node: Any) -> bool:
    """Whether a shard is being written on a node of a cluster: Ray names a process after what it does."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    with contextlib.suppress(psutil.Error):
        return any("_write" in " ".join(child.cmdline()) for child in raylet.children(recursive=True))
    return False


@pytest.mark.slow
def test_a_machine_that_is_lost_in_the_middle_of_mining_changes_no_byte(
    own_ray, make_chunks, geometry, mining, tmp_path
):
    import ray
    from ray.cluster_utils import Cluster

    shards = [f"part-{number:05d}.parquet" for number in range(24)]
    (tmp_path / "chunks").mkdir()
    for number, shard in enumerate(shards):
        tokens = np.random.default_rng(number).integers(0, 500, 16_000).astype(np.uint16)
        write_shard(CHUNKS, make_chunks({f"d{number}": ("validation", tokens)}), tmp_path / "chunks" / shard)
    commit(CHUNKS, tmp_path / "chunks")
    arguments = {"geometry": geometry, "mining": mining}
    for name in ("expected", "scratch"):
        (tmp_path / name).mkdir()
    for shard in shards:
        write_one(shard, tmp_path / "expected", "mining", [tmp_path / "chunks"], arguments)

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    lost = []

    def lose(node: Any) -> None:
        while not (is_writing(node) and any((tmp_path / "scratch").glob("part-*"))):
            time.sleep(0.01)
        lost.append(len(list((tmp_path / "scratch").glob("part-*"))))
        cluster.remove_node(node, allow_graceful=False)

    try:
        cluster.add_node(num_cpus=1)
        killer = threading.Thread(target=lose, args=(cluster.add_node(num_cpus=1),), daemon=True)
        ray.init(address=cluster.address, log_to_driver=False)
        killer.start()
        chunks = open_artifact(CHUNKS, tmp_path / "chunks")
        write_all(load_stage("mining"), [chunks], tmp_path / "scratch", arguments, Runtime(), silent())
        killer.join(60)
        assert lost[0] < len(shards)
        assert contents(tmp_path / "scratch") == contents(tmp_path / "expected")
    finally:
        stop_ray()
        cluster.shutdown()


def test_a_ray_that_is_not_there_is_named(tasks, own_ray, place, monkeypatch):
    """Ray itself takes minutes to give up."""
    import ray

    def gives_up(**options: object) -> None:
        raise ConnectionError(f"Failed to connect to Ray cluster at {options['address']}")

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(ray, "init", gives_up)
    with pytest.raises(Failure, match=r"no Ray to join at 127\.0\.0\.1:1") as failure:
        ray_map(tasks.write, SHARDS, place[0], {"journal": place[1]}, Runtime(), silent(), "a test")
    assert failure.value.code == Exit.ENVIRONMENT
