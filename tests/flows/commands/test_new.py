"""`rpt new`: a corpus and its runs in params.yaml, what its text would give, and refusals that leave
everything as it was.
"""

import itertools
import json
from pathlib import Path

import pytest

from data_contracts.failure import Exit, Failure
from flows.commands import new
from flows.commands.new import as_text, new_corpus
from flows.overrides import apply_overrides
from stages.ingestion.preview import preview
from stages.parameters import Corpus, load
from tests.pipelines import private

ROOT = Path(__file__).resolve().parents[3]


def text(number: int, lines: int = 200) -> str:
    return "\n".join(
        f"document {number} says in line {line} that {number * line} is {line} times {number}"
        for line in range(lines)
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the demo's parameters and twelve texts, one of which is empty and one a copy."""
    (tmp_path / "params.yaml").write_text((ROOT / "profiles" / "demo.yaml").read_text())
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "texts" / "deep" / f"{number}.tex").write_text(text(number))
    (tmp_path / "texts" / "empty.tex").write_text(" \n")
    (tmp_path / "texts" / "copy.tex").write_text(text(3))
    monkeypatch.setattr(new, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_corpus_and_a_run_for_each_system(place: Path) -> None:
    change, known = new_corpus("thesis", "texts/**/*.tex", None, {"corpora.thesis.max_characters": 10**9})
    configuration = load(place / "params.yaml")
    corpus = configuration.corpora["thesis"]
    assert (corpus.source, corpus.max_characters, corpus.test) == (
        "texts/**/*.tex",
        10**9,
        configuration.corpora["demo"].test,
    )
    runs = {
        name: (run.system, run.input) for name, run in configuration.runs.items() if run.corpus == "thesis"
    }
    assert runs == {
        f"thesis-{run.system}": (run.system, run.input)
        for run in configuration.runs.values()
        if run.corpus == "demo"
    }
    assert "+  thesis-retro: {corpus: thesis" in change
    lines = (place / "params.yaml").read_text().splitlines()
    assert not [line for before, line in itertools.pairwise(lines) if not before and line.startswith(" ")], (
        "sections stay apart"
    )
    assert known["documents"] == 10
    assert known["refused"] == {"duplicate": 1, "empty": 1}
    assert known["characters"] == sum(len(text(number)) for number in range(10))
    assert sum(known["splits"].values()) == 10
    assert known["pairs"] > known["queries"] > 0
    assert any("test documents" in warning for warning in known["warnings"])


def test_a_run_that_begins_with_another_begins_with_that_of_the_new_corpus(place: Path) -> None:
    own = {"corpus": "demo", "system": "retro_fit", "input": "starts/demo-transformer_xl", "seed": 0}
    edits = {
        "indexed_corpora": ["demo"],
        "starts.demo-transformer_xl": {"corpus": "demo", "system": "transformer_xl"},
        "runs.demo-retro_fit": own,
    }
    apply_overrides(place / "params.yaml", edits)
    new_corpus("thesis", "texts/**/*.tex", None, {})
    configuration = load(place / "params.yaml")
    assert configuration.runs["thesis-retro_fit"].start == "thesis-transformer_xl"
    assert configuration.starts["thesis-transformer_xl"].corpus == "thesis"
    assert configuration.indexed_corpora == ("demo", "thesis")


def test_a_person_reads_what_to_type_next(place: Path) -> None:
    _, known = new_corpus("thesis", "texts/**/*.tex", "demo", {})
    said = as_text("thesis", known)
    assert "thesis: 12 files\n" in said
    assert "./rpt run --corpus thesis" in said
    assert json.loads(json.dumps(known)) == known


def test_only_the_beginning_of_much_text_is_read(place: Path) -> None:
    found = preview(Corpus(source="texts/**/*.tex"), load(place / "params.yaml").ingestion, most_bytes=60_000)
    assert 3 <= found.read < found.files == 12
    assert 0 < found.part < 1
    assert len(found.documents) <= found.read


@pytest.mark.parametrize(
    ("name", "source", "like", "more", "words"),
    [
        ("demo", "texts/**/*.tex", None, {}, "has one of this name"),
        ("../x", "texts/**/*.tex", None, {}, "no plain name"),
        ("a" * 61, "texts/**/*.tex", None, {}, "no plain name"),
        ("thesis", "texts/**/*.tex", "dmo", {}, "does not name it"),
        ("thesis", "texts/*.none", None, {}, "no file matches"),
        ("thesis", "texts/**/*.tex", None, {"corpora.thesis.fomat": "text"}, "fomat"),
        ("thesis", "texts/copy.tex", None, {}, "at least one each"),
    ],
)
def test_what_is_refused_leaves_params_as_they_were(
    place: Path, name: str, source: str, like: str | None, more: dict, words: str
) -> None:
    before = (place / "params.yaml").read_bytes()
    with pytest.raises(Failure, match=words) as refused:
        new_corpus(name, source, like, more)
    assert refused.value.code == Exit.USAGE
    assert (place / "params.yaml").read_bytes() == before


def test_short_documents_are_said(place: Path) -> None:
    for number in range(10):
        (place / "texts" / "deep" / f"{number}.tex").write_text(text(number, lines=6))
    _, known = new_corpus("thesis", "texts/deep", None, {})
    assert known["pairs"] == 0
    assert known["warnings"][0].startswith("no document is long enough")


def test_everything_of_the_only_corpus_is_everything(project: Path, rpt, tmp_path: Path) -> None:
    root = private(project, tmp_path / "project")
    plans = [
        json.loads(rpt(root, "plan", *stages, "--json").stdout)
        for stages in ([], ["label_report@demo", "report@demo"])
    ]
    assert {row["stage"] for row in plans[0]["stages"]} == {row["stage"] for row in plans[1]["stages"]}


def test_a_corpus_and_stages_are_not_named_together(project: Path, rpt, tmp_path: Path) -> None:
    own = private(project, tmp_path / "project")
    unknown = rpt(own, "run", "--corpus", "demmo")
    assert unknown.returncode == 2
    assert "params.yaml does not name it" in unknown.stderr
    refused = rpt(own, "run", "scoring", "--corpus", "demo")
    assert refused.returncode == Exit.USAGE
    assert "name scoring@demo" in refused.stderr
