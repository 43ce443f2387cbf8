"""The microscope on labels that a real reference LM made of real text: gains of tokens add up to s_t, and
where they cannot be had, why.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from benchmarks._tiny_project import synthetic_document
from data_contracts.candidates import LABELS
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, TOKENS, list_column
from flows.labels import versions as label_versions
from flows.labels.browser import _reference_lm
from flows.labels.commands import labels
from flows.labels.microscope import find
from flows.labels.microscope_text import STEPS
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from reports.html.terminal_text import shown
from reports.labels.label_set import open_label_set
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining, Scoring
from stages.scoring.scoring import score
from stages.tokens.chunking import chunk
from stages.tokens.tokenizer import train_tokenizer

GEOMETRY = Geometry(chunk_tokens=16, sequence_chunks=64, stride_chunks=2)
DOC_ID = "c0ffee" + "0" * 10
TEXT = synthetic_document(3, 60) + "naïve 漢字 \t[red]no markup[/red] 👩‍👩‍👧\n" * 20


def keep(contract, table: pa.Table, home: Path) -> None:
    (home / contract.name).mkdir()
    write_shard(contract, table, home / contract.name / "part-00000.parquet")
    commit(contract, home / contract.name)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A corpus of one document, made as the stages make it, with a random reference LM."""
    home = tmp_path_factory.mktemp("corpus")
    tokenizer = train_tokenizer(iter([TEXT]), 300)
    for name in ("tokenizer", "reference_lm"):
        (home / name).mkdir()
        tokenizer.save(str(home / name / "tokenizer.json"))
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    config = GPTNeoXConfig(vocab_size=tokenizer.get_vocab_size(), **sizes)
    random = gpt_neox.init(config, 0)
    gpt_neox_files.save(
        home / "reference_lm", config, {**random, "embed_out": 30 * random["embed_out"]}
    )  # sure of itself, so gains are large
    ids = np.array([0, *tokenizer.encode(TEXT).ids, 0], np.uint32)
    tokens = TOKENS.table(
        {"doc_id": [DOC_ID], "split": ["test"], "token_ids": list_column([ids])}, tokenizer="x"
    )
    chunks = pa.concat_tables(chunk(tokens, GEOMETRY, home / "tokenizer"))
    candidates = pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=6)))
    scoring = Scoring(candidates=6, evaluation_candidates=6, engine="jax")
    made = score(
        chunks, candidates, GEOMETRY, scoring, home / "tokenizer", home / "reference_lm", home / "ledger"
    )
    document = {
        "doc_id": [DOC_ID],
        "part_of": [""],
        "corpus": [""],
        "split": ["test"],
        "source": ["a.txt .. b.txt"],
        "license": [""],
    }
    keep(DOCUMENTS, DOCUMENTS.table({**document, "text": [TEXT], "num_chars": [len(TEXT)]}), home)
    keep(CHUNKS, chunks, home)
    keep(LABELS, made, home)
    return home


@pytest.fixture
def show(home, monkeypatch, capsys):
    monkeypatch.setattr(label_versions, "INDEX", home / "index")

    def show(query: int, *arguments: object, place: Path = home, width: int | None = None):
        with monkeypatch.context() as patch:
            for name, value in (
                {"FORCE_COLOR": "1", "COLUMNS": str(width), "TERM": "xterm-256color"}.items() if width else ()
            ):
                patch.setenv(name, value)
            labels(
                ["show", f"c0ffee:{query}", str(place), *map(str, arguments)], result_action="return_value"
            )
        output = capsys.readouterr().out
        return json.loads(output) if "--json" in arguments else output

    return show


@pytest.fixture(scope="module")
def queries(home):
    return pl.read_parquet(home / "labels" / "*.parquet")["query_chunk"].unique().sort().to_list()


def test_gains_add_up_to_the_label_and_tokens_to_the_target(show, queries):
    for query in [queries[0], queries[len(queries) // 2], queries[-1]]:
        view = show(query, "--json")
        best = max(view["candidates"], key=lambda row: row["target_score"])
        gains = view["gains"]
        assert gains["rank"] == best["rank"]
        assert sum(token["gain"] for token in gains["tokens"]) == pytest.approx(
            best["target_score"], abs=0.01
        )
        assert "".join(token["text"] for token in gains["tokens"]) == view["target"]
        assert len(gains["tokens"]) == GEOMETRY.chunk_tokens
        assert best["candidate_logprob"] - view["local_logprob"] == pytest.approx(
            best["target_score"], abs=1e-4
        )


def test_a_document_is_found_by_its_id_or_by_either_file_that_its_source_names(home, tmp_path, queries):
    opened = open_label_set(home / "labels", tmp_path)
    for name in ("c0ffee", "a.txt", "b.txt", "a.txt .. b.txt"):
        assert find(opened, f"{name}:{queries[0]}") == (DOC_ID, queries[0])
    with pytest.raises(Failure, match="no source is called so"):
        find(opened, f".txt:{queries[0]}")


def test_another_candidate_can_be_chosen_by_its_rank(show, queries):
    view = show(queries[-1], "--json", "--of", 4)
    (chosen,) = [row for row in view["candidates"] if row["rank"] == 4]
    assert sum(token["gain"] for token in view["gains"]["tokens"]) == pytest.approx(
        chosen["target_score"], abs=0.01
    )
    with pytest.raises(Failure, match="ranks 0 to 5") as failure:
        show(queries[-1], "--of", 6)
    assert failure.value.code == Exit.USAGE


def test_the_target_is_coloured_on_a_terminal_only_and_its_text_stays(show, queries):
    view, plain = show(queries[-1], "--json"), show(queries[-1])
    coloured = show(queries[-1], width=100)
    target = coloured.split("target, chunk", 1)[1].split("the candidate of rank", 1)[0]
    large = [
        token["text"]
        for token in view["gains"]["tokens"]
        if abs(token["gain"]) >= STEPS[0] and "\n" not in token["text"]
    ]
    assert large
    assert re.findall(r"48;5;\d+m([^\x1b]*)\x1b", target) == [shown(text) for text in large]
    assert "colours from" in coloured
    assert "\x1b" not in plain
    assert "colours from" not in plain
    score = max(row["target_score"] for row in view["candidates"])
    assert f"makes it {abs(score):.2f} nats {'more' if score > 0 else 'less'} likely" in plain
    most = max(view["gains"]["tokens"], key=lambda token: token["gain"])
    assert f"» {most['gain']:+.2f}" in plain.split("helps most: ")[1].split("\n")[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda directory: shutil.rmtree(directory), "is not there"),
        (
            lambda directory: (directory / "tokenizer.json").write_text("{}"),
            "is not the reference LM that made these labels",
        ),
    ],
)
def test_without_the_reference_lm_of_the_labels_there_are_no_gains_and_it_is_said(
    home, show, queries, tmp_path, change, said
):
    copy = tmp_path / "corpus"
    shutil.copytree(home, copy)
    change(copy / "reference_lm")
    assert said in show(queries[-1], "--json", place=copy)["gains"]["missing"]
    assert said in show(queries[-1], place=copy)
    assert said not in show(queries[-1], "--no-gains", place=copy)


def test_no_gains_loads_no_model(show, queries):
    view = show(queries[-1], "--no-gains", "--json")
    assert "gains" not in view


@pytest.fixture(scope="module")
def text_home(home, tmp_path_factory):
    """The same corpus labelled by the same weights with another tokenizer, of smaller tokens."""
    copy = tmp_path_factory.mktemp("text") / "corpus"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("labels", "ledger", "index"))
    train_tokenizer(iter(["quite another text"]), 280).save(str(copy / "reference_lm" / "tokenizer.json"))
    sizes = json.loads((copy / "reference_lm" / "config.json").read_text()) | {"max_position_embeddings": 512}
    (copy / "reference_lm" / "config.json").write_text(json.dumps(sizes))
    chunks = open_artifact(CHUNKS, copy / "chunks").read_all()
    candidates = pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=2)))
    scoring = Scoring(candidates=2, evaluation_candidates=2, engine="jax")
    made = score(
        chunks, candidates, GEOMETRY, scoring, copy / "tokenizer", copy / "reference_lm", copy / "ledger"
    )
    keep(LABELS, made, copy)
    return copy


def test_labels_of_text_are_explained_in_the_tokens_of_the_reference_lm(show, queries, text_home):
    for query in queries[-9:]:
        view = show(query, "--json", place=text_home)
        best = max(view["candidates"], key=lambda row: row["target_score"])
        tokens = view["gains"]["tokens"]
        assert sum(token["gain"] for token in tokens) == pytest.approx(best["target_score"], abs=0.01)
        assert len(tokens) > GEOMETRY.chunk_tokens
        text = "".join(token["text"] for token in tokens)
        assert text in TEXT
        assert view["target"].replace("\ufffd", "").removesuffix("<|endoftext|>") in text
    shown_target = show(queries[-1], place=text_home)
    assert "helps most" in shown_target
    lm = _reference_lm(open_label_set(text_home / "labels", text_home / "index"))
    ids = [np.array(ids) for ids in pl.read_parquet(text_home / "chunks" / "*.parquet")["token_ids"]]
    assert lm.reads_text
    assert lm.pieces(ids, query + 1) == [token["text"] for token in tokens]
    assert lm.gains(ids, query, [best["candidate_chunk"]]).sum() == pytest.approx(
        best["target_score"], abs=0.01
    )


def test_without_the_tokenizer_that_cut_the_chunks_gains_of_text_are_missing(
    show, queries, text_home, tmp_path
):
    copy = tmp_path / "corpus"
    shutil.copytree(text_home, copy)
    (copy / "tokenizer" / "tokenizer.json").write_text("{}")
    assert (
        "is not the tokenizer that cut these chunks"
        in show(queries[-1], "--json", place=copy)["gains"]["missing"]
    )
