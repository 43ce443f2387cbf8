"""The gates' sample: which queries, which random chunks, gains by hand with a toy LM; and the stage as a
whole with a real small one.
"""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.eligibility import last_eligible
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model import gpt_neox
from model.gpt_neox_copying import copying_init
from reports.metrics.gates import GATES
from stages.mining.mining import mine
from stages.parameters import LabelGates, Mining, Scoring
from stages.runner.stage import Context
from stages.scoring import label_gates
from stages.scoring.label_gates import comparable_queries, make_label_gates, read_labels, score_queries
from stages.scoring.pairs import ShardPrompts
from stages.scoring.scoring import Scorer, score
from tests.conftest import chunk_table
from tests.stages.artifacts import write_reference_lm
from tests.tiny import tiny_context, tiny_geometry, tiny_gpt_neox

VOCABULARY = 60


class OverlapLM:
    """log P(target) = -(tokens of the target that occur neither in the prefix nor in the query), all in the
    first half.
    """

    def identity(self):
        return {"engine": "overlap"}

    def score(self, prefixes, suffixes, pairs, progress):
        self.prompts = [(tuple(prefixes[prefix]), tuple(suffixes[suffix])) for prefix, suffix in pairs]
        size = suffixes.shape[1] // 2
        missing = [
            -sum(token not in {*prefix, *suffix[:size]} for token in suffix[size:])
            for prefix, suffix in self.prompts
        ]
        return np.stack([np.array(missing, np.float32), np.zeros(len(missing), np.float32)], axis=1)


@pytest.fixture(scope="module")
def chunks() -> pa.Table:
    rng = np.random.default_rng(1)
    lengths = {"a": ("validation", 40), "b": ("train", 40), "c": ("validation", 30), "d": ("test", 40)}
    tokens = {
        name: (split, rng.integers(1, VOCABULARY, 8 * length)) for name, (split, length) in lengths.items()
    }
    return chunk_table(tokens, tiny_geometry())


def made_up_labels(query: dict[tuple[str, str, int], int]) -> pl.DataFrame:
    """{(split, doc_id, query chunk): candidates}, the last of which is the best at -3; the local context
    scores -5.
    """
    rows = [
        (split, doc_id, chunk, rank, -9.0 if rank < count - 1 else -3.0, -5.0)
        for (split, doc_id, chunk), count in query.items()
        for rank in range(count)
    ]
    names = ["split", "doc_id", "query_chunk", "rank", "candidate_logprob", "local_logprob"]
    return pl.DataFrame(rows, schema_overrides={"query_chunk": pl.Int32}, schema=names, orient="row")


def test_only_validation_queries_with_other_chunks_to_choose_are_compared():
    # With a stride of 2, query 9 has chunks 0 to 4 to choose from, query 10 has 0 to 6.
    found = comparable_queries(
        made_up_labels(
            {
                ("validation", "a", 9): 4,
                ("validation", "a", 10): 7,
                ("train", "b", 30): 2,
                ("validation", "c", 9): 5,
            }
        ),
        2,
    )
    assert found.rows() == [("a", 9, 4, -3.0, -5.0, 5)]


def test_gains_are_what_a_person_computes(chunks, geometry):
    queries = comparable_queries(
        made_up_labels({("validation", "a", 38): 6, ("validation", "a", 20): 16, ("validation", "c", 25): 6}),
        2,
    )
    engine = OverlapLM()
    scorer = Scorer(engine, {}, lambda table: ShardPrompts(table, geometry.chunk_tokens))
    scored = score_queries(scorer, chunks, queries, np.arange(VOCABULARY), np.random.default_rng(0))
    tokens = pl.from_arrow(chunks).select("doc_id", "chunk", "token_ids").rows()
    text = {(doc_id, chunk): ids for doc_id, chunk, ids in tokens}
    assert scored["copy_gain"].to_list() == [5.0 / 8] * 3

    planted, random = engine.prompts[:3], engine.prompts[3:]
    assert all(prefix == suffix for prefix, suffix in planted)
    ends = np.cumsum(queries["candidates"].to_numpy())
    for row, end in zip(scored.iter_rows(named=True), ends, strict=True):
        doc_id, query = row["doc_id"], row["query_chunk"]
        pairs = {tuple(text[doc_id, j] + text[doc_id, j + 1]) for j in range(last_eligible(query, 2) + 1)}
        drawn = random[end - row["candidates"] : end]
        assert {suffix for _, suffix in drawn} == {tuple(text[doc_id, query] + text[doc_id, query + 1])}
        assert {prefix for prefix, _ in drawn} <= pairs
        assert len({prefix for prefix, _ in drawn}) == row["candidates"]
        target, known = text[doc_id, query + 1], text[doc_id, query]
        best = max(-sum(token not in {*prefix, *known} for token in target) for prefix, _ in drawn)
        assert row["lead_of_bm25"] == pytest.approx((-3.0 - best) / 8)
        assert row["bytes"] == sum(target) / 8


CONFIG = tiny_gpt_neox(hidden_size=32, num_hidden_layers=2, intermediate_size=64, rotary_pct=0.25)


def make_context(place: Path, chunks: pa.Table, params: gpt_neox.Params | None) -> Context:
    """A corpus in two shards with labels of the LM with these parameters, or of one that has learnt
    nothing.
    """
    write_reference_lm(place, CONFIG, params)
    geometry, scoring = tiny_geometry(), Scoring(candidates=3, evaluation_candidates=5)
    chunks = chunks.set_column(
        0, chunks.schema.field("doc_id"), pc.binary_repeat(chunks.column("doc_id"), 16)
    )
    documents = chunks.column("doc_id").to_pylist()
    for number, (first, last) in enumerate(
        [(0, documents.index("c" * 16)), (documents.index("c" * 16), len(documents))]
    ):
        part = chunks.slice(first, last - first)
        candidates = pa.concat_tables(mine(part, geometry, Mining(max_candidates=5)))
        labels = score(
            part, candidates, geometry, scoring, place / "tokenizer", place / "reference_lm", place / "ledger"
        )
        for contract, table in ((CHUNKS, part), (CANDIDATES, candidates), (LABELS, labels)):
            (place / contract.name).mkdir(exist_ok=True)
            write_shard(contract, table, place / contract.name / f"part-{number:05d}.parquet")
    for contract in (CHUNKS, CANDIDATES, LABELS):
        commit(contract, place / contract.name)
    return tiny_context(place)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, chunks) -> Context:
    return make_context(tmp_path_factory.mktemp("labelled"), chunks, None)


@pytest.fixture
def context(labelled, tmp_path) -> Context:
    """Labels of an LM that has learnt nothing; whatever is written goes elsewhere."""
    return tiny_context(labelled.inputs, scratch=tmp_path)


def run(context, geometry, enforce: bool, queries: int = 12) -> dict:
    scoring = Scoring(candidates=3, evaluation_candidates=5)
    make_label_gates(
        context, geometry, scoring, LabelGates(enforce=enforce, queries=queries, bootstrap_samples=100)
    )
    return json.loads((context.scratch / "label_gates" / "gates.json").read_text())


def test_a_random_lm_fails_and_the_run_may_go_on(context, geometry):
    result = run(context, geometry, enforce=False)
    assert (result["split"], result["documents"], result["queries"]) == ("validation", 2, 12)
    gates = {row["name"]: row for row in result["gates"]}
    assert list(gates) == [
        "planted copy",
        "BM25 over chance",
        "split-half correlation",
        "positive rate",
        "train over validation",
    ]
    assert abs(gates["planted copy"]["value"]) < 0.1
    assert gates["planted copy"]["verdict"] == "failed"
    labels = pl.read_parquet(context.inputs / "labels" / "*.parquet").filter(pl.col("split") == "validation")
    assert gates["positive rate"]["value"] == pytest.approx((labels["target_score"] > 0).mean(), abs=1e-6)
    assert "FAILED" in context.say.stream.getvalue()


def test_an_lm_that_copies_passes_the_planted_copy(tmp_path, chunks, geometry):
    params = jax.tree.map(np.asarray, copying_init(CONFIG, 0))
    gate = run(make_context(tmp_path, chunks, params), geometry, enforce=False)["gates"][0]
    assert gate["name"] == "planted copy"
    assert gate["verdict"] == "passed"
    assert gate["value"] > 0.7


def test_enforced_gates_end_the_run_by_name(context, geometry):
    with pytest.raises(Failure, match=r"too weak to train on: .*planted copy.*allow-weak-labels") as failure:
        run(context, geometry, enforce=True)
    assert failure.value.code == Exit.CONTRACT
    assert not (context.scratch / "label_gates").exists()


def test_what_cannot_tell_ends_no_run_and_is_said_in_yellow(context, geometry, monkeypatch):
    rate = next(gate for gate in GATES if gate.name == "positive rate")
    found = next(row for row in run(context, geometry, enforce=False)["gates"] if row["name"] == rate.name)
    within, beyond = ((found["value"] + found["high"]) / 2, found["high"] + 0.1)
    monkeypatch.setattr(label_gates, "GATES", (replace(rate, least=within),))
    assert run(context, geometry, enforce=True)["gates"][0]["verdict"] == "cannot tell"
    note = json.loads(context.say.stream.getvalue().splitlines()[-1])
    assert note["caution"]
    assert "0 of 1 label gates passed on 2 validation documents, 0 failed, 1 cannot tell" in note["markdown"]
    monkeypatch.setattr(label_gates, "GATES", (replace(rate, least=beyond, most=1.0),))
    with pytest.raises(Failure, match="too weak to train on: positive rate"):
        run(context, geometry, enforce=True)


def test_the_seed_decides_the_sample_and_its_limit_its_size(context, geometry):
    first, again, larger = (run(context, geometry, False, queries) for queries in (12, 12, 10_000))
    assert first == again
    assert 12 < larger["queries"] < 10_000


def test_the_sample_is_of_all_shards(context, geometry):
    labels, scoring = (
        open_artifact(LABELS, context.input("labels")),
        Scoring(candidates=3, evaluation_candidates=5),
    )
    _, _, chosen = read_labels(labels, geometry, scoring, 12, np.random.default_rng(0))
    _, _, everything = read_labels(labels, geometry, scoring, 10_000, np.random.default_rng(0))
    assert len(chosen) == 12
    assert chosen["shard"].unique(maintain_order=True).to_list() == list(labels.shards)
    assert chosen.equals(everything.bottom_k(12, by="draw").sort("shard", "doc_id", "query_chunk"))
