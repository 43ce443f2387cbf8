"""No pair is paid for twice: calls of a real reference LM counted over changes of k, documents, weights,
kills and damage.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_contracts.candidates import LABELS
from data_contracts.contract import commit, write_shard
from flows.commands.ledger import rebuild, stats
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.engines.jax_engine import JaxScoringLM
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining, Scoring
from stages.scoring import pairs as scoring_pairs
from stages.scoring import scoring
from tests.conftest import chunk_table

ROOT = Path(__file__).resolve().parents[3]
GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=64, stride_chunks=2)
CONFIG = GPTNeoXConfig(
    vocab_size=61,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=32,
)
DOCUMENTS = {"3" * 16: "train", "b" * 16: "train", "b2" * 8: "test"}


class Counting:
    """A real engine whose pairs are counted; `log` also gets their number before each call, for whoever
    watches from outside.
    """

    def __init__(self, directory: Path, log: Path | None = None):
        self.engine, self.log, self.calls = JaxScoringLM(directory), log, list[int]()

    def identity(self):
        return self.engine.identity()

    def score(self, prefixes, suffixes, pairs, progress=None):
        self.calls.append(len(pairs))
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{len(pairs)}\n")
        return self.engine.score(prefixes, suffixes, pairs, progress)

    def take(self) -> int:
        """Pairs scored since the last time this was asked."""
        count = sum(self.calls)
        self.calls.clear()
        return count


def write_model(directory: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf) + 0.2 * rng.normal(size=leaf.shape).astype(np.float32),
        gpt_neox.init(CONFIG, seed),
    )
    gpt_neox_files.save(directory, CONFIG, params)
    (directory / "tokenizer.json").write_text("{}")
    return directory


def tables(documents=tuple(DOCUMENTS)) -> tuple[pa.Table, pa.Table]:
    chunks = chunk_table(
        {
            doc_id: (DOCUMENTS[doc_id], np.random.default_rng(int(doc_id[-1], 16)).integers(1, 60, 8 * 64))
            for doc_id in documents
        },
        GEOMETRY,
    )
    return chunks, pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=40)))


def label(root: Path, ledger: Path, k: int, shard=None, lm: str = "reference_lm") -> pa.Table:
    chunks, candidates = shard or tables()
    parameters = Scoring(candidates=k, evaluation_candidates=k)
    return scoring.score(chunks, candidates, GEOMETRY, parameters, root / "tokenizer", root / lm, ledger)


def pairs_of(labels: pa.Table) -> set[tuple[str, int, int]]:
    """Every pair that labels need: candidates and each query's local context."""
    pairs = set(
        zip(
            *(labels.column(name).to_pylist() for name in ("doc_id", "query_chunk", "candidate_chunk")),
            strict=True,
        )
    )
    return pairs | {(doc_id, query, query - 2) for doc_id, query, _ in pairs}


def bytes_of(labels: pa.Table, directory: Path) -> bytes:
    write_shard(LABELS, labels, directory / "labels.parquet")
    return (directory / "labels.parquet").read_bytes()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    (root / "tokenizer").mkdir()
    (root / "tokenizer" / "tokenizer.json").write_text("{}")
    write_model(root / "reference_lm", 0)
    write_model(root / "other_lm", 1)
    return root


@pytest.fixture
def engine(root, monkeypatch):
    engines = {name: Counting(root / name) for name in ("reference_lm", "other_lm")}
    monkeypatch.setattr(scoring, "_engine", lambda name, directory, dtype: engines[directory.name])
    monkeypatch.setattr(scoring_pairs, "BATCH_PAIRS", 300)
    engines["reference_lm"].other = engines["other_lm"]
    return engines["reference_lm"]


def test_more_candidates_cost_the_new_pairs_and_fewer_cost_nothing(root, engine, tmp_path):
    ledger, expected, known = tmp_path / "ledger", {}, set()
    for k in (20, 30, 20, 10, 30):
        labels = label(root, ledger, k)
        assert engine.take() == len(pairs_of(labels) - known)
        known |= pairs_of(labels)
        expected[k] = bytes_of(labels, tmp_path)
    assert len(known) > 3000
    for k, data in expected.items():
        assert bytes_of(label(root, tmp_path / f"fresh{k}", k), tmp_path) == data
    assert {row["pairs"] for row in stats(ledger)} == {len(known)}


def test_the_size_of_a_batch_changes_no_bit(root, engine, tmp_path, monkeypatch):
    whole = bytes_of(label(root, tmp_path / "a", 12), tmp_path)
    monkeypatch.setattr(scoring_pairs, "BATCH_PAIRS", 77)
    assert bytes_of(label(root, tmp_path / "b", 12), tmp_path) == whole


def test_a_new_document_costs_only_itself_wherever_shards_begin(root, engine, tmp_path):
    first, second, third = DOCUMENTS
    before = label(root, tmp_path / "ledger", 12, tables([second]))
    engine.take()
    labels = label(root, tmp_path / "ledger", 12, tables([first, second]))
    assert engine.take() == len(pairs_of(labels) - pairs_of(before))
    label(root, tmp_path / "ledger", 12, tables([second, third]))
    label(root, tmp_path / "ledger", 12, tables([third, first]))
    assert engine.take() == len(pairs_of(label(root, tmp_path / "ledger", 12)) - pairs_of(labels))


def test_other_weights_never_meet_old_rows(root, engine, tmp_path):
    ours = label(root, tmp_path / "ledger", 5)
    theirs = label(root, tmp_path / "ledger", 5, lm="other_lm")
    assert engine.take() == engine.other.take() == len(pairs_of(ours))
    assert len(list((tmp_path / "ledger").iterdir())) == 2
    assert bytes_of(theirs, tmp_path) == bytes_of(label(root, tmp_path / "fresh", 5, lm="other_lm"), tmp_path)
    assert not (
        ours.column("candidate_logprob").to_numpy() == theirs.column("candidate_logprob").to_numpy()
    ).any()


def test_a_damaged_file_is_mended(root, engine, tmp_path):
    before = bytes_of(label(root, tmp_path / "ledger", 8), tmp_path)
    every = engine.take()
    victim = sorted((tmp_path / "ledger").glob("*/b/*.parquet"))[1]
    data = victim.read_bytes()
    victim.write_bytes(
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    )
    assert bytes_of(label(root, tmp_path / "ledger", 8), tmp_path) == before
    assert 0 < engine.take() <= 300 < every
    (row,) = stats(tmp_path / "ledger")
    assert (row["pairs"], row["corrupt"]) == (every, [f"{victim.name}.corrupt"])
    label(root, tmp_path / "ledger", 8)
    assert engine.take() == 0


def test_a_ledger_is_rebuilt_from_labels(root, engine, tmp_path):
    for number, documents in enumerate((list(DOCUMENTS)[:2], list(DOCUMENTS)[2:])):
        (tmp_path / "labels").mkdir(exist_ok=True)
        write_shard(
            LABELS,
            label(root, tmp_path / "ledger", 9, tables(documents)),
            tmp_path / "labels" / f"part-0000{number}.parquet",
        )
    commit(LABELS, tmp_path / "labels")
    every = engine.take()
    before = bytes_of(label(root, tmp_path / "ledger", 9), tmp_path)
    shutil.rmtree(tmp_path / "ledger")
    assert rebuild(tmp_path / "ledger", tmp_path / "labels") == every
    assert rebuild(tmp_path / "ledger", tmp_path / "labels") == 0
    assert bytes_of(label(root, tmp_path / "ledger", 9), tmp_path) == before
    assert engine.take() == 0


CHILD = """
import sys
from pathlib import Path
from stages.scoring import scoring
from stages.scoring import pairs as scoring_pairs
from tests.stages.scoring.test_scoring_and_ledger import Counting, label
root, ledger, log = map(Path, sys.argv[1:4])
scoring._engine = lambda name, directory, dtype: Counting(directory, log)
scoring_pairs.BATCH_PAIRS = 20
label(root, ledger, 8)
"""


def test_killed_in_the_middle_scoring_goes_on_and_repeats_at_most_one_batch(root, engine, tmp_path):
    log, command = (
        tmp_path / "log",
        [
            sys.executable,
            "-c",
            CHILD,
            root,
            tmp_path / "ledger",
            tmp_path / "log",
        ],
    )
    process = subprocess.Popen(command, cwd=ROOT)
    while not log.exists() or len(log.read_text().splitlines()) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    paid = sum(map(int, log.read_text().split()))
    log.unlink()
    subprocess.run(command, cwd=ROOT, check=True)
    scored = sum(map(int, log.read_text().split()))
    (row,) = stats(tmp_path / "ledger")
    assert row["pairs"] > paid
    assert 0 <= paid + scored - row["pairs"] <= 20
    interrupted = bytes_of(label(root, tmp_path / "ledger", 8), tmp_path)
    assert engine.take() == 0
    assert bytes_of(label(root, tmp_path / "fresh", 8), tmp_path) == interrupted


def test_a_sample_of_the_queries_is_a_part_of_what_all_of_them_cost(root, engine, tmp_path):
    chunks, candidates = tables()
    train = candidates.filter(pc.equal(candidates.column("split"), "train"))
    costs = []
    for fraction in (0.3, 1.0, 0.6):
        parameters = Scoring(candidates=5, evaluation_candidates=5, query_fraction=fraction)
        scoring.score(
            chunks,
            train,
            GEOMETRY,
            parameters,
            root / "tokenizer",
            root / "reference_lm",
            tmp_path / "ledger",
        )
        costs.append(engine.take())
    assert costs[0] > 0
    assert costs[1] > 0
    assert costs[2] == 0
