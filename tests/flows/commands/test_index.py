"""`rpt index`: what it finds, says and refuses, on an index made by the stages themselves."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from data_contracts.contract import open_artifact
from data_contracts.evaluations import BY_CHANCE, EVALUATIONS, OWN, WITHOUT
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS, KEYS
from data_contracts.tokens import CHUNKS
from flows.cli import app
from flows.commands import index as commands
from flows.compare import results
from flows.compare.runs import Wanted
from stages.index.build import make_index
from stages.index.keys import keys
from stages.index.neighbours import corpus_neighbours
from stages.parameters import CorpusNeighbours, Geometry, Index, PassageEncoder, load
from tests.conftest import ROOT, chunk_table
from tests.stages.artifacts import write_artifact, write_tokenizer
from tests.tiny import tiny_context

GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=16, stride_chunks=2)
TEXTS = {
    "a": ("train", "the cat sat on the mat and slept there all day long"),
    "b": ("train", "prime numbers are not products of smaller ones"),
}
TEXTS["t"] = ("test", "a cat sat on the mat again, and prime numbers slept")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace with params.yaml and the artifacts of corpus `demo`."""
    home = tmp_path / "artifacts" / "demo"
    tokenizer = write_tokenizer(home)
    chunks = chunk_table(
        {name: (split, np.array(tokenizer.encode(text).ids)) for name, (split, text) in TEXTS.items()},
        GEOMETRY,
    )
    write_artifact(CHUNKS, home / "chunks", chunks)
    write_artifact(KEYS, home / "keys", keys(chunks, GEOMETRY, PassageEncoder(width=32), home / "tokenizer"))
    make_index(tiny_context(home), GEOMETRY, Index())
    (home / "scratch" / "index").rename(home / "index")
    shutil.rmtree(home / "scratch")
    known = open_artifact(KEYS, home / "keys").read("part-00000.parquet")
    sizes = CorpusNeighbours(neighbours=2, evaluation_neighbours=2, random=2, margin=1)
    write_artifact(
        CORPUS_NEIGHBOURS,
        home / "corpus_neighbours",
        pa.concat_tables(corpus_neighbours(known, chunks, GEOMETRY, sizes, home / "index")),
    )
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    params |= {"indexed_corpora": ["demo"], "geometry": GEOMETRY.model_dump()}
    params["passage_encoder"]["width"] = 32
    params["runs"] |= {
        "demo-it": {"corpus": "demo", "system": "retro_corpus", "input": "corpus_neighbours", "seed": 0}
    }
    write_params(tmp_path, params)
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    return tmp_path


def write_params(place, params) -> None:
    with open(place / "params.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(params, file)


def run(*words: str) -> int:
    return app([*words], result_action="return_value")


def test_a_text_finds_the_passage_that_it_is_the_beginning_of(workspace, capsys):
    assert run("index", "search", "the cat ", "-k", "2", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["passages"]
    assert (first["doc_id"], first["chunk"], first["distance"]) == ("a", 0, 0.0)
    assert first["text"] == TEXTS["a"][1][:16]
    assert second["distance"] > 0
    assert run("index", "search", "prime numbers are", "demo", "-k", "1") == 0
    assert "b:" in capsys.readouterr().out


def test_what_an_index_holds(workspace, capsys):
    assert run("index", "stats", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["corpus"], found["documents"], found["kind"], found["width"], found["recall"]) == (
        "demo",
        2,
        "exact",
        32,
        None,
    )
    assert run("index", "stats") == 0
    assert f"demo: {found['passages']} passages of 2 documents" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_by_name(workspace):
    for words, said in (
        (("search", "x", "thesis"), "indexed_corpora names demo"),
        (("search", ""), "it has no token"),
        (("search", "x", "-k", "99"), "the index holds"),
        (("leakage", "demo-retro"), "it reads no whole corpus"),
        (("leakage", "nobody"), "params.yaml does not name it"),
    ):
        with pytest.raises(Failure, match=said) as failure:
            run("index", *words)
        assert failure.value.code == Exit.USAGE
    params = YAML(typ="safe").load((workspace / "params.yaml").read_text())
    params["passage_encoder"]["seed"] = 1
    write_params(workspace, params)
    with pytest.raises(Failure, match="is of another encoder") as failure:
        run("index", "search", "x")
    assert failure.value.code == Exit.CONTRACT
    params["passage_encoder"]["seed"] = 0
    write_params(workspace, params)
    home = workspace / "artifacts" / "demo"
    shutil.rmtree(home / "chunks")
    write_artifact(CHUNKS, home / "chunks", chunk_table({"z": ("train", np.arange(1, 60))}, GEOMETRY))
    with pytest.raises(Failure, match="is of another version of the corpus"):
        run("index", "search", "x")


def test_how_much_is_copied(workspace, capsys, monkeypatch):
    """The test document has losses of 2 nats a token, less 1 with its own passages; the command and a
    comparison say the same.
    """
    chunks = open_artifact(CHUNKS, workspace / "artifacts/demo/chunks").read_all().to_pylist()
    lengths = [len(row["token_ids"]) for row in chunks if row["doc_id"] == "t"]
    rows = []
    for setting in sorted((OWN, WITHOUT, BY_CHANCE)):
        for chunk, count in enumerate([lengths[0] - 1, *lengths[1:]]):
            loss = count * (1.0 if setting == OWN else 2.0)
            known = {
                "system": "retro_corpus",
                "setting": setting,
                "doc_id": "t",
                "split": "test",
                "chunk": chunk - 1,
                "loss": loss,
            }
            known |= {"tokens": count, "bytes": count, "token_losses": [loss / count] * count, "eligible": 0}
            rows.append(known | {name: [] for name in ("retrieved", "ranking", "scores", "gates")})
    columns = {name: [row[name] for row in rows] for name in EVALUATIONS.schema.names}
    write_artifact(
        EVALUATIONS,
        workspace / "artifacts/demo/evaluations/demo-it",
        EVALUATIONS.table(columns, stride_chunks=2),
    )
    assert run("index", "leakage", "demo-it", "--json") == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    whole = next(row for row in found if row["kind"] == "at_most" and row["most"] == 8)
    assert whole["chunks"] == len(lengths) - 1
    assert whole["gains"]["demo-it none"]["value"] == 1.0
    assert (
        next(row for row in found if row["kind"] == "at_most" and row["most"] == 1)["chunks"]
        < whole["chunks"]
    )
    assert run("index", "leakage", "demo-it") == 0
    assert "| at most 8 " in capsys.readouterr().out
    monkeypatch.setattr(results, "ROOT", workspace)
    wanted = [Wanted("demo-it", "demo", "retro_corpus", 0)]
    corpus = results.compared(load(workspace / "params.yaml"), "it", wanted, {}).corpora[0]
    assert [row["kind"] for row in found[-2:]] == ["near_duplicate", "no_near_duplicate"]
    assert [row.chunks for row in corpus.copied[0].rows] == [row["chunks"] for row in found[:-2]]
    shutil.rmtree(workspace / "artifacts/demo/corpus_neighbours")
    assert results.compared(load(workspace / "params.yaml"), "it", wanted, {}).corpora[0].copied == []


def test_documents_come_and_go_without_the_pipeline(workspace, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("flows.workspace.STATE", tmp_path / ".run")
    (tmp_path / "new.txt").write_text("zebras drink at the water hole before dawn")
    assert run("index", "add", str(tmp_path / "new.txt")) == 0
    assert "1 added" in capsys.readouterr().out
    assert run("index", "search", "zebras d", "-k", "1", "--json") == 0
    (first,) = json.loads(capsys.readouterr().out)["passages"]
    assert first["text"].startswith("zebras")
    assert run("index", "stats", "--json") == 0
    edition = json.loads(capsys.readouterr().out)["edition"]
    assert (edition["documents"], edition["segments"], edition["removed"]) == (3, 1, 0)
    assert run("index", "remove", first["doc_id"], "a") == 0
    assert run("index", "compact") == 0
    capsys.readouterr()
    assert run("index", "search", "zebras d", "-k", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["passages"][0]["doc_id"] == "b"
    with pytest.raises(Failure, match="cannot be added"):
        run("index", "add", str(tmp_path / "nowhere.txt"))
