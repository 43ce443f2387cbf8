"""A ledger in an object store: many writers without a lock, answers that are lost, objects that vanish while
they are read, kills at any request; every row is there, and once.
"""

import errno
import itertools
import logging
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from stages.scoring import ledger_bucket, ledger_files
from stages.scoring.ledger import KEYS, Ledger
from stages.scoring.ledger_bucket import _that_fill_one
from tests.object_store import BUCKET
from tests.stages.scoring.test_ledger import DOCUMENTS, SCORER, everything, rows

ROOT = Path(__file__).resolve().parents[3]
URL = "gs://bucket/some/ledger"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """gcsfs asks a busy store again as often as it does, without waiting between."""

    async def at_once(seconds):
        pass

    monkeypatch.setattr("gcsfs.retry.asyncio", types.SimpleNamespace(sleep=at_once))


@pytest.fixture
def machine(gcs, monkeypatch, tmp_path):
    """The ledger as machine `name` sees it, with a cache of its own."""

    def ledger(name: str = "a") -> Ledger:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return Ledger(URL, SCORER)

    return ledger


def values(ledger: Ledger) -> dict[tuple[int, int, int], float]:
    """(document number, query, candidate) -> the first of its halves; fails if a pair is there twice."""
    found = everything(ledger)
    assert len(found.unique(KEYS)) == len(found)
    return {(DOCUMENTS.index(d), q, c): halves[0] for d, q, c, halves in found.iter_rows()}


def test_what_one_machine_appends_another_reads(gcs, machine):
    here, there = machine("a"), machine("b")
    assert values(there) == {}
    here.append(rows([(0, 9, 1), (2, 5, 3), (0, 4, 2)]))
    assert values(there) == {(0, 9, 1): -1.0, (2, 5, 3): -1.0, (0, 4, 2): -1.0}
    assert {name.split("/")[3] for name in gcs.objects()} == {"0", "f"}
    assert values(Ledger(URL, {**SCORER, "chunk_tokens": 32})) == {}
    asked = list[str]()
    gcs.plan = lambda method, name, number: asked.append(name)
    assert len(values(there)) == 3
    assert asked
    assert not any(name.endswith(".parquet") for name in asked), "what was read once is not read again"
    assert here.files.scorers() == [here.name]
    assert here.files.digits(here.name) == ["0", "f"]


def test_a_ledger_of_directories_can_be_copied_to_a_bucket_and_back(gcs, machine, tmp_path):
    local = Ledger(tmp_path / "ledger", SCORER)
    for candidate in range(3):
        local.append(rows([(0, 9, candidate)], -1.0 - candidate))
    for path in (tmp_path / "ledger").rglob("*.parquet"):
        machine().files.store.put_if_absent(str(path.relative_to(tmp_path / "ledger")), path.read_bytes())
    remote = machine()
    assert values(remote) == values(local)
    remote.append(rows([(0, 9, 3)], -4.0))
    for name, data in gcs.objects().items():
        place = tmp_path / "back" / name.removeprefix("some/ledger/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    assert values(Ledger(tmp_path / "back", SCORER)) == values(remote)


def test_merges_of_several_machines_and_failing_requests_lose_and_double_nothing(gcs, machine, monkeypatch):
    """Of two scores of one pair the lower one stays, whatever was merged with what."""
    monkeypatch.setattr(ledger_files, "MAX_FILES", 2)
    rng, expected = np.random.default_rng(0), {}
    faults = itertools.cycle(["429", None, "lost", None, None, "503", None])
    gcs.plan = lambda method, name, number: next(faults)
    machines = [machine(name) for name in "abc"]
    for number in range(30):
        pairs = {(0, int(q), 0) for q in rng.integers(2, 9, 4)}
        logprob = -1.0 - float(rng.integers(0, 5))
        machines[number % 3].append(rows(sorted(pairs), logprob))
        for pair in pairs:
            expected[pair] = min(expected.get(pair, 0.0), logprob)
        assert values(machines[int(rng.integers(3))]) == expected
    assert gcs.seen["412"] > 0
    assert len(gcs.objects()) <= 3


class Killed(BaseException):
    """Stands for a kill: nothing that handles an Exception sees it."""


@pytest.mark.parametrize("carried_out", [True, False])
def test_stopped_at_any_request_a_writer_leaves_every_row_that_it_had_kept(
    gcs, machine, monkeypatch, carried_out
):
    monkeypatch.setattr(ledger_files, "MAX_FILES", 2)
    for stop in itertools.count(1):
        gcs.storage.objects[BUCKET] = {}
        writer, kept, calls = machine(f"{carried_out}{stop}"), [], itertools.count(1)

        def request(real, *arguments, stop=stop, calls=calls):
            number = next(calls)
            answer = real(*arguments) if number != stop or carried_out else None
            if number == stop:
                raise Killed
            return answer

        store = writer.files.store
        for name in ("put_if_absent", "delete", "sizes"):
            real = getattr(store, name)
            monkeypatch.setattr(store, name, lambda *given, real=real, request=request: request(real, *given))
        try:
            for candidate in range(5):
                writer.append(rows([(0, 9, candidate)]))
                kept.append(candidate)
        except Killed:
            pass
        found = [c for _, _, c in values(machine("reader"))]
        assert found[: len(kept)] == kept
        assert len(found) <= len(kept) + 1
        if len(kept) == 5:
            assert stop > 15, "nothing was merged"
            break


def test_an_object_that_is_merged_while_it_is_read_is_found_in_the_merged_one(gcs, machine, monkeypatch):
    monkeypatch.setattr(ledger_files, "MAX_FILES", 3)
    writer, reader = machine("a"), machine("b")
    for candidate in range(3):
        writer.append(rows([(0, 9, candidate)]))

    def merged_at_the_first_reading(method, name, number):
        if method == "GET" and name.endswith(".parquet"):
            gcs.plan = lambda method, name, number: None
            gcs.one_at_a_time.release()
            writer.append(rows([(0, 9, 3)]))
            gcs.one_at_a_time.acquire()

    gcs.plan = merged_at_the_first_reading
    assert [c for _, _, c in values(reader)] == [0, 1, 2, 3]
    assert len(gcs.objects()) == 1


def test_objects_that_always_vanish_end_with_a_failure(gcs, machine):
    writer, reader = machine("a"), machine("b")
    writer.append(rows([(0, 9, 0)]))
    reader.files.store.fetch = lambda names, places: [False for _ in names]
    with pytest.raises(
        Failure, match=r"gs://bucket/some/ledger.*cannot be read.*merged.*run again"
    ) as failure:
        everything(reader)
    assert failure.value.code == Exit.ENVIRONMENT


def test_several_pages_of_names_are_listed_until_two_listings_agree(gcs, machine, monkeypatch):
    """A row that moves to an earlier page between the two is seen."""
    monkeypatch.setattr(ledger_bucket, "PAGE", 2)
    writer, reader = machine("a"), machine("b")
    for candidate in range(3):
        writer.append(rows([(0, 9, candidate)]))
    real, asked = reader.files.store.sizes, itertools.count()

    def one_missed_at_first(folder):
        names = real(folder)
        return dict(list(names.items())[1:]) if next(asked) == 0 else names

    reader.files.store.sizes = one_missed_at_first
    assert [c for _, _, c in values(reader)] == [0, 1, 2]


@pytest.mark.parametrize("data", [b"", b"nothing", None])
def test_a_corrupt_object_is_named_not_used_and_made_up_for(gcs, machine, caplog, monkeypatch, data):
    monkeypatch.setattr(ledger_files, "MAX_FILES", 2)
    writer, reader = machine("a"), machine("b")
    writer.append(rows([(0, 9, 1)]))
    (victim,) = gcs.objects()
    good = gcs.objects()[victim]
    gcs.storage._store.write_bytes(
        gcs.storage._object_path(BUCKET, victim), good[:60] + b"?" + good[61:] if data is None else data
    )
    with caplog.at_level(logging.WARNING):
        assert values(reader) == {}
    assert victim.rpartition("/")[2] in caplog.text
    assert reader.files.folder(reader.name, "0").corrupt() == [victim.rpartition("/")[2]]
    reader.append(rows([(0, 9, 1)]))
    assert values(machine("c")) == {(0, 9, 1): -1.0}, "the same bytes have another name"
    for candidate in range(2, 6):
        reader.append(rows([(0, 9, candidate)]))
    assert [c for _, _, c in values(machine("d"))] == [1, 2, 3, 4, 5]
    assert victim in gcs.objects(), "it can be looked at"


def test_a_merge_holds_a_bounded_number_of_bytes():
    full = ledger_files.FULL_BYTES
    assert _that_fill_one({name: full - 1 for name in "abcdef"}) == ["a", "b"]
    sizes = {f"{number:03d}": 2**20 for number in range(100)}
    assert len(_that_fill_one(sizes)) == 2 * full // 2**20


WRITER = """
import os, sys, types
import gcsfs.retry
async def at_once(seconds): pass
gcsfs.retry.asyncio = types.SimpleNamespace(sleep=at_once)
from stages.scoring import ledger_files
from stages.scoring.ledger import KEYS, Ledger
from tests.stages.scoring.test_ledger import DOCUMENTS, SCORER, rows
import polars as pl
ledger_files.MAX_FILES = 2
url, number = sys.argv[1], int(sys.argv[2])
ledger = Ledger(url, SCORER)
for batch in range(8):
    wanted = rows([(0, 200, 8 * number + batch), (0, 201, batch)], -1.0 - number)
    lacking = wanted.join(ledger.read(pl.Series(DOCUMENTS[:1])), on=KEYS, how="anti")
    ledger.append(lacking)
    os.write(1, b".")
"""


def writer(number: int, cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache / f"writer {number}")}
    command = [sys.executable, "-c", WRITER, URL, str(number)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)


def test_three_writers_of_which_one_is_killed_leave_every_batch_once(gcs, machine, tmp_path):
    """Each has batches of its own, and pairs that the others score too. One is killed by the server in the
    middle of the 20th upload, and run again.
    """
    rng = np.random.default_rng(1)
    writers, uploads = [writer(number, tmp_path) for number in range(3)], itertools.count(1)

    def plan(method, name, number):
        if method == "POST" and next(uploads) == 20:
            os.kill(writers[1].pid, signal.SIGKILL)
            return "lost"
        return rng.choice(["429", "503", "lost", *[None] * 9])

    gcs.plan = plan
    said = [process.communicate()[0] for process in writers]
    assert [process.returncode for process in writers] == [0, -signal.SIGKILL, 0]
    assert len(said[1]) < 8
    again = writer(1, tmp_path)
    assert again.communicate()[0] == b"." * 8
    gcs.plan = lambda method, name, number: None
    found = values(machine("reader"))
    assert {pair[2] for pair in found if pair[1] == 200} == set(range(24))
    assert {pair[2] for pair in found if pair[1] == 201} == set(range(8))
    assert all(found[0, 200, c] == -1.0 - c // 8 for c in range(24))
    assert len(gcs.objects()) <= 5
    assert gcs.seen["412"] > 0


def test_a_copy_that_went_bad_is_asked_for_again(machine):
    here = machine()
    here.append(rows([(0, 200, 7)], -1.0))
    (digit,) = here.files.digits(here.name)
    folder = here.files.folder(here.name, digit)
    with folder.held() as (copy,):
        whole = copy.read_bytes()
        copy.write_bytes(whole[:-1])
    assert folder.corrupt() == [], "the object is intact"
    assert copy.read_bytes() == whole


def test_two_processes_of_a_machine_share_what_was_read(gcs, machine, monkeypatch):
    """One finds a copy bad while the other reads it: it does not vanish under the other's hands."""
    one, other = machine(), machine()
    one.append(rows([(0, 9, 1)]))
    folder = other.files.folder(other.name, "0")
    with folder.held() as (copy,):
        one.files.folder(one.name, "0").set_aside(copy)
        assert other._read_file(folder, copy)
    copy.write_bytes(b"bad")
    assert values(one) == values(other) == {(0, 9, 1): -1.0}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EMFILE])
def test_a_cache_that_cannot_be_used_is_a_failure(gcs, machine, monkeypatch, code):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code), "cache")

    ledger = machine()
    ledger.append(rows([(0, 9, 1)]))
    for function in ("tempfile.TemporaryDirectory", "stages.scoring.ledger_bucket.is_intact"):
        with monkeypatch.context() as patch:
            patch.setattr(function, fail)
            with pytest.raises(Failure, match=os.strerror(code)) as failure:
                ledger.append(rows([(0, 9, 2)])) if "tempfile" in function else values(ledger)
        assert failure.value.code == Exit.ENVIRONMENT
    assert values(ledger) == {(0, 9, 1): -1.0}
