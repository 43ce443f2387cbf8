"""A run that reads another database: with its own the losses are those of the evaluation, and what cannot be
compared is refused.
"""

import json
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from benchmarks import grounding
from benchmarks.result import refusing
from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS
from data_contracts.evaluations import BY_CHANCE, EVALUATIONS, OWN, WITHOUT
from data_contracts.passages import CORPUS_NEIGHBOURS, KEYS
from data_contracts.tokens import CHUNKS
from reports.metrics.evaluation_rows import aligned
from stages.evaluation.evaluation import evaluate
from stages.index.build import make_index
from stages.index.keys import keys
from stages.index.neighbours import corpus_neighbours
from stages.index.store import open_index
from stages.parameters import CorpusNeighbours, Evaluation, Index, PassageEncoder, Run
from stages.tokens.tokenization import encode
from stages.tokens.tokenizer import vocabulary_size
from stages.training.systems import config_of
from tests.conftest import ROOT, chunk_table
from tests.stages.artifacts import write_artifact, write_model, write_tokenizer
from tests.tiny import tiny_context, tiny_geometry, tiny_recipe, tiny_training

RUN = Run(corpus="demo", system="retro_corpus", input="corpus_neighbours")
SIZES = CorpusNeighbours(neighbours=2, evaluation_neighbours=2, random=2, margin=1)
GEOMETRY, EVALUATION = tiny_geometry(), Evaluation(split="test", max_tokens_per_document=1000, settings=())
TEXTS = {
    "a": ("train", "the cat sat on the mat and slept there all day long, and the dog barked at the cat"),
    "b": ("train", "prime numbers are not products of smaller ones; two is a prime number"),
    "t": ("test", "a cat sat on the mat again, and prime numbers slept all day long"),
    "u": ("test", "short"),
}
OTHER = {"z": ("train", "def main(): return 0 # nothing of this is prose, and there is no animal in it")}


def write_documents(home, texts) -> None:
    rows = [
        {"doc_id": name, "part_of": "", "corpus": home.name, "split": split, "source": name, "license": ""}
        | {"text": text, "num_chars": len(text)}
        for name, (split, text) in texts.items()
    ]
    columns = {name: [row[name] for row in rows] for name in DOCUMENTS.schema.names}
    write_artifact(DOCUMENTS, home / "documents", DOCUMENTS.table(columns))


def write_params(place, **changes) -> None:
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    params["corpora"] |= {name: {"source": "x"} for name in ("code", "same", "empty")}
    params |= {"indexed_corpora": ["demo"], "geometry": GEOMETRY.model_dump(), "runs": {}}
    params["runs"] = {name: RUN.model_dump() for name in ("demo-it", "demo-again", "demo-new")}
    params["runs"]["code-it"] = RUN.model_dump() | {"corpus": "code"}
    params["indexed_corpora"] = ["demo", "code"]
    params["recipes"]["retro_corpus"] = {"cca_layers": [2], "neighbours": 2}
    params["passage_encoder"]["width"] = 16
    params["evaluation"]["max_tokens_per_document"] = 1000
    params["report"]["bootstrap_samples"] = 20
    for section, values in changes.items():
        params[section] |= values
    with open(place, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(params, file)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Corpus `demo` with two untrained runs, and the documents of three others."""
    home = tmp_path / "artifacts" / "demo"
    tokenizer = write_tokenizer(home)
    ids = encode((text for _, text in TEXTS.values()), tokenizer)
    chunks = chunk_table(
        {name: (split, tokens) for (name, (split, _)), tokens in zip(TEXTS.items(), ids, strict=True)},
        GEOMETRY,
    )
    write_artifact(CHUNKS, home / "chunks", chunks)
    write_artifact(KEYS, home / "keys", keys(chunks, GEOMETRY, PassageEncoder(width=16), home / "tokenizer"))
    make_index(tiny_context(home), GEOMETRY, Index())
    (home / "scratch" / "index").rename(home / "index")
    known = open_artifact(KEYS, home / "keys").read("part-00000.parquet")
    found = pa.concat_tables(corpus_neighbours(known, chunks, GEOMETRY, SIZES, home / "index"))
    write_artifact(CORPUS_NEIGHBOURS, home / "corpus_neighbours", found)
    for seed, name in enumerate(("demo-it", "demo-again")):
        training = tiny_training(width=16 * (1 + seed))
        config = config_of(GEOMETRY, training, tiny_recipe(), vocabulary_size(tokenizer))
        write_model(home / "models" / name, "retro_corpus", config, tiny_recipe())
    write_documents(tmp_path / "artifacts" / "same", TEXTS)
    write_documents(tmp_path / "artifacts" / "code", OTHER)
    write_documents(tmp_path / "artifacts" / "empty", {"t": ("train", TEXTS["t"][1])})
    write_params(tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return home


def bench(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["grounding", *words])
    return refusing(grounding.main)


def evaluated(home) -> dict[str, float]:
    """Setting -> bits a byte, of the stage."""
    candidates = {name: [] for name in CANDIDATES.schema.names}
    table = CANDIDATES.table(candidates, stride_chunks=2, sequence_chunks=16)
    write_artifact(CANDIDATES, home / "candidates", table)
    context = tiny_context(home, run_name="demo-it", run=RUN)
    evaluate(context, GEOMETRY, EVALUATION, tiny_recipe())
    rows = open_artifact(EVALUATIONS, home / "scratch" / "evaluation").read_all().to_pylist()
    sums = {
        setting: [sum(row[name] for row in rows if row["setting"] == setting) for name in ("loss", "bytes")]
        for setting in (OWN, WITHOUT, BY_CHANCE)
    }
    return {setting: loss / np.log(2) / size for setting, (loss, size) in sums.items()}


def test_each_database_is_read(workspace, monkeypatch, capsys):
    assert bench(monkeypatch, "demo-it", "demo-again", "--database", "same", "code", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    bits = {way: one["value"] for way, one in found["runs"]["demo-it"]["bits_a_byte"].items()}
    for setting, value in evaluated(workspace).items():
        assert bits[setting] == pytest.approx(value, rel=1e-5), setting
    # The same text makes the same passages and keys, whoever's index it would be in.
    assert bits["from_same"] == bits[OWN]
    assert len({bits[way] for way in (OWN, "from_code", BY_CHANCE, WITHOUT)}) == 4
    passages = found["passages"]
    assert passages[OWN] == passages["from_same"] == len(open_index(workspace / "index"))
    assert 0 < passages["from_code"] < passages[OWN]
    assert (found["documents"], found["own_better_by"]["from_same"]["value"]) == (2, 0.0)
    mean = np.mean([one["bits_a_byte"]["from_code"]["value"] for one in found["runs"].values()])
    assert found["bits_a_byte"]["from_code"]["value"] == pytest.approx(mean, abs=1e-5)
    better = found["own_better_by"]["from_code"]
    difference = found["figures"]["bits_a_byte_from_code"] - found["figures"]["bits_a_byte_own"]
    assert better["value"] == pytest.approx(difference, abs=2e-6)
    assert (better["low"], better["high"]) == (None, None), "of two documents"


@pytest.mark.parametrize("documents", [7, 8])
def test_an_interval_needs_enough_documents(documents):
    rng, names = np.random.default_rng(0), [f"{number}" for number in range(documents)]
    rows = {"doc_id": names, "chunk": [-1] * documents, "tokens": [8] * documents, "bytes": [9] * documents}
    frames = {
        ("it", way): pl.DataFrame(rows | {"eligible": [0] * documents, "loss": rng.uniform(1, 9, documents)})
        for way in (OWN, WITHOUT)
    }
    found = grounding.compared(aligned(frames, {"it": "retro_corpus"}, {"it": 0}), ["it"], 20)
    for one in (found["bits_a_byte"][OWN], found["own_better_by"][WITHOUT]):
        assert one.value is not None
        assert (one.low is None, one.high is None) == (documents < 8, documents < 8)


def test_another_database_is_no_larger_than_the_own_one(workspace):
    encoder = grounding.load_encoder(PassageEncoder(width=16), workspace / "tokenizer", 8)
    for most in (1, 3):
        found = grounding.database_of_text("same", workspace / "tokenizer", encoder, 8, most, [])
        assert len(found.keys_ND) == len(found.passages_NR) == most
    index = open_index(workspace / "index")
    assert (found.passages_NR == index.passages_NR[:3]).all()
    assert (found.keys_ND == index.keys_ND[:3]).all()


def test_what_cannot_be_compared_is_refused(workspace, monkeypatch, capsys):
    for words, code, said in (
        (("demo-it", "--database", "nowhere"), 2, "corpus 'nowhere'\n  cause:  params.yaml does not name it"),
        (("demo", "--database", "code"), 2, "name some of code-it, demo-again, demo-it, demo-new"),
        (("demo-it", "code-it", "--database", "code"), 2, "they are of the corpora code, demo"),
        (("demo-new", "--database", "code"), 2, "demo-new is not trained"),
        (("demo-it", "--database", "empty"), 2, "no document of 8 tokens beside those that are evaluated"),
    ):
        assert bench(monkeypatch, *words) == code, words
        assert said in capsys.readouterr().err
    write_params("params.yaml", passage_encoder={"seed": 1})
    assert bench(monkeypatch, "demo-it", "--database", "code") == 3
    assert "artifacts/demo/index is of another encoder" in capsys.readouterr().err
    write_params("params.yaml", geometry={"chunk_tokens": 16})
    assert bench(monkeypatch, "demo-it", "--database", "code") == 3
    assert "its passages have 16 tokens, two chunks have 32" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        bench(monkeypatch, "demo-it")
    assert stopped.value.code == 2
