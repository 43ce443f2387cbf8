"""The label store: what is appended is found again, whoever else writes, wherever a writer is killed,
whatever bit of a file is flipped.
"""

import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.failure import Exit, Failure
from stages.scoring import ledger_files
from stages.scoring.ledger import KEYS, Ledger

ROOT = Path(__file__).resolve().parents[3]
SCORER = {"engine": "test", "chunk_tokens": 64}
DOCUMENTS = [f"{digit}{'0' * 15}" for digit in "0af"]


def rows(pairs, logprob=-1.0) -> pl.DataFrame:
    """Ledger rows of (document number, query, candidate)."""
    document, query, candidate = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    halves = np.full((len(query), 2), logprob, np.float32)
    return pl.DataFrame(
        {
            "doc_id": [DOCUMENTS[d] for d in document],
            "query_chunk": query,
            "candidate_chunk": candidate,
            "halves": pl.Series(halves),
        }
    )


def everything(store: Ledger) -> pl.DataFrame:
    return store.read(pl.Series(DOCUMENTS)).sort(KEYS)


def home(store: Ledger) -> Path:
    return store.files.root / store.name


def files(store: Ledger) -> list[Path]:
    return sorted(home(store).glob("*/[0-9]*.parquet"))


def test_rows_come_back_by_document_and_lie_under_their_first_digit(tmp_path):
    store = Ledger(tmp_path, SCORER)
    assert store.read(pl.Series(DOCUMENTS)).columns == [*KEYS, "halves"]
    given_rows = rows([(0, 9, 1), (2, 5, 3), (0, 4, 2)])
    store.append(given_rows)
    assert everything(store).equals(given_rows.sort(KEYS))
    assert Ledger(tmp_path, SCORER).read(pl.Series(DOCUMENTS[2:])).equals(given_rows[1:2])
    assert {path.parent.name for path in files(store)} == {"0", "f"}
    assert everything(Ledger(tmp_path, {**SCORER, "chunk_tokens": 32})).is_empty()


def test_the_first_writer_wins(tmp_path):
    store = Ledger(tmp_path, SCORER)
    for logprob in (-1.0, -2.0, -3.0):
        store.append(rows([(0, 9, 1), (0, 9, 1 - int(logprob))], logprob))
    assert everything(store)["halves"].to_numpy()[:, 0].tolist() == [-1.0, -1.0, -2.0, -3.0]


pair = st.tuples(st.integers(0, 2), st.integers(2, 6), st.just(0))


@settings(max_examples=25, deadline=None)
@given(
    appends=st.lists(st.lists(pair, min_size=1, max_size=5, unique=True), min_size=1, max_size=12),
    full=st.sampled_from([1, 2**20]),
)
def test_merging_changes_nothing_but_the_number_of_files(tmp_path_factory, appends, full):
    store, expected = Ledger(tmp_path_factory.mktemp("ledger"), SCORER), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_files, "MAX_FILES", 2)
        patch.setattr(ledger_files, "FULL_BYTES", full)
        for number, pairs in enumerate(appends, 1):
            store.append(rows(pairs, -float(number)))
            for row in pairs:
                expected.setdefault(row, -float(number))
            found = everything(store)
            assert {
                (DOCUMENTS.index(d), q, c): halves[0] for d, q, c, halves in found.iter_rows()
            } == expected
    if full == 2**20:
        assert all(len(list(digit.glob("*.parquet"))) <= 2 for digit in home(store).iterdir())


def test_a_full_file_is_never_merged_past(tmp_path, monkeypatch):
    """A later row of the same pair may not move before it, in a file that is older than the full one."""
    monkeypatch.setattr(ledger_files, "MAX_FILES", 2)
    monkeypatch.setattr(ledger_files, "FULL_BYTES", 6000)
    store = Ledger(tmp_path, SCORER)
    noise = np.random.default_rng(0).random((900, 2), np.float32)
    big = rows([(0, 1000, candidate) for candidate in range(900)]).with_columns(halves=pl.Series(-1 - noise))
    for part in (
        rows([(0, 5, 1)]),
        big,
        *(rows([(0, 1000, 7), (0, 6, candidate)], -9.0) for candidate in range(3)),
    ):
        store.append(part)
    assert [path.stat().st_size >= 6000 for path in files(store)] == [False, True, False]
    assert (
        everything(store).filter(pl.col("candidate_chunk") == 7)["halves"][0].to_list()
        == (-1 - noise[7]).tolist()
    )


def test_a_row_that_breaks_the_contract_is_refused_and_changes_nothing(tmp_path):
    store = Ledger(tmp_path, SCORER)
    store.append(rows([(0, 9, 1)]))
    for bad in (
        rows([(0, 9, 8)]),
        rows([(0, 5, 1)], np.nan),
        rows([(0, 5, 1)], 0.5),
        rows([(0, 5, -1)]),
        rows([(0, 5, 1), (0, 5, 1)]),
    ):
        with pytest.raises(Failure, match="ledger") as failure:
            store.append(bad)
        assert failure.value.code == Exit.CONTRACT
    assert len(everything(store)) == 1


@pytest.mark.parametrize("doc_id", ["/etc/passwd12345", "../../etc/passwd", "", "0" * 15 + "G", "0" * 17])
def test_a_doc_id_never_leads_out_of_the_ledger(tmp_path, doc_id):
    store = Ledger(tmp_path / "ledger", SCORER)
    with pytest.raises(Failure, match="16 hex"):
        store.append(rows([(0, 9, 1)]).with_columns(doc_id=pl.lit(doc_id)))
    with pytest.raises(Failure, match="16 hex"):
        store.read(pl.Series([doc_id]))
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_cannot_be_locked_says_where_and_what_to_do(tmp_path):
    store = Ledger(tmp_path, SCORER)
    (home(store) / "0" / "lock").mkdir(parents=True)
    with pytest.raises(Failure, match=r"cannot be locked.*runtime\.ledger") as failure:
        store.append(rows([(0, 9, 1)]))
    assert failure.value.code == Exit.ENVIRONMENT


@pytest.mark.parametrize("fault", ["flip", "cut", "empty", "another scorer's", "renamed"])
def test_a_corrupt_file_is_set_aside_and_named(tmp_path, fault, caplog):
    store = Ledger(tmp_path, SCORER)
    store.append(rows([(0, 9, 1)]))
    store.append(rows([(0, 9, 2)]))
    victim = files(store)[0]
    data = victim.read_bytes()
    if fault == "another scorer's":
        other = Ledger(tmp_path, {"engine": "other"})
        other.append(rows([(0, 9, 7)]))
        victim.unlink()
        victim = files(other)[0].replace(victim.parent / files(other)[0].name)
    elif fault == "renamed":
        victim = victim.replace(victim.parent / f"0000000000-{'0' * 64}.parquet")
    else:
        victim.write_bytes(
            {"flip": data[:60] + bytes([data[60] ^ 4]) + data[61:], "cut": data[:-100], "empty": b""}[fault]
        )
    with caplog.at_level(logging.WARNING):
        assert everything(store)["candidate_chunk"].to_list() == [2]
    assert victim.name in caplog.text
    assert [path.name for path in victim.parent.glob("*.corrupt")] == [f"{victim.name}.corrupt"]
    store.append(rows([(0, 9, 1)]))
    assert everything(store)["candidate_chunk"].to_list() == [1, 2]


def test_every_flipped_byte_is_noticed(tmp_path):
    store = Ledger(tmp_path, SCORER)
    store.append(rows([(0, 9, 1)]))
    good, (victim,) = files(store)[0].read_bytes(), files(store)
    for place in range(0, len(good), 37):
        victim.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert everything(store).is_empty()
    victim.write_bytes(good)
    assert len(everything(store)) == 1


def test_a_corrupt_file_does_not_spoil_a_merge(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_files, "MAX_FILES", 3)
    store = Ledger(tmp_path, SCORER)
    for candidate in range(3):
        store.append(rows([(0, 9, candidate)]))
    files(store)[1].write_bytes(b"nothing")
    store.append(rows([(0, 9, 3)]))
    assert len(files(store)) == 1
    assert everything(store)["candidate_chunk"].to_list() == [0, 2, 3]


def child(script: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT)


APPEND = """
import os, signal, sys
from pathlib import Path
from stages.scoring import ledger, ledger_files
from tests.stages.scoring.test_ledger import SCORER, rows
root, victim, countdown = sys.argv[1], sys.argv[2], int(sys.argv[3])
real = getattr(Path, victim) if victim != "fsync" else os.fsync
def killed(*arguments, **options):
    global countdown
    countdown -= 1
    if not countdown:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
ledger_files.MAX_FILES = 3
setattr(os if victim == "fsync" else Path, victim, killed)
for candidate in range(6):
    ledger.Ledger(Path(root), SCORER).append(rows([(0, 9, candidate)]))
    os.write(1, b".")
"""


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("fsync", 1),
        ("fsync", 3),
        ("replace", 2),
        ("fsync", 5),
        ("replace", 5),
        ("unlink", 1),
        ("unlink", 6),
        ("unlink", 9),
    ],
)
def test_killed_at_any_point_a_writer_loses_at_most_what_it_was_appending(tmp_path, call, number):
    """Each append calls fsync, unlink (of a temporary file) and replace once; so does the merge in the
    fourth, which then unlinks four.
    """
    process = subprocess.run(
        [sys.executable, "-c", APPEND, tmp_path, call, str(number)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    store, acknowledged = Ledger(tmp_path, SCORER), len(process.stdout)
    kept = everything(store)["candidate_chunk"].to_list()
    assert kept[:acknowledged] == list(range(acknowledged))
    assert len(kept) <= acknowledged + 1
    for candidate in range(7):
        store.append(rows([(0, 9, candidate)], -2.0))
    values = dict(everything(store).select("candidate_chunk", pl.col("halves").arr.first()).iter_rows())
    assert values == {candidate: -1.0 if candidate in kept else -2.0 for candidate in range(7)}
    assert not [path for path in home(store).glob("*/.*") if path.is_file()]


MANY = """
import sys
from pathlib import Path
from stages.scoring import ledger, ledger_files
from tests.stages.scoring.test_ledger import SCORER, rows
ledger_files.MAX_FILES = 2
number = int(sys.argv[2])
for candidate in range(25):
    pairs = [(0, 200, 3 * candidate + number), (0, 200, 100)]
    ledger.Ledger(Path(sys.argv[1]), SCORER).append(rows(pairs, -1.0 - number))
"""


def test_writers_at_the_same_time_lose_nothing_and_agree_on_the_first(tmp_path):
    writers = [child(MANY, tmp_path, number) for number in range(3)]
    store, seen = Ledger(tmp_path, SCORER), set()
    while any(writer.poll() is None for writer in writers):
        shared = everything(store).filter(pl.col("candidate_chunk") == 100)
        seen |= {halves[0] for halves in shared["halves"]}
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = everything(store)
    assert found["candidate_chunk"].to_list() == [*range(75), 100]
    assert len(seen | {found["halves"][-1][0]}) == 1
    assert len(files(store)) <= 3
