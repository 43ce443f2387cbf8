"""Overrides edit params.yaml in place, keep its comments, and write nothing that is not valid."""

import shutil
from pathlib import Path

import pytest

from data_contracts.failure import Exit, Failure
from flows.overrides import apply_overrides, parse_override
from stages.parameters import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def params(tmp_path):
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def test_only_the_named_line_changes(params):
    before = params.read_text().splitlines()
    change = apply_overrides(params, dict([parse_override("scoring.candidates=12")]))
    after = params.read_text().splitlines()
    differing = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert differing == [("  candidates: 8", "  candidates: 12")]
    assert "+  candidates: 12" in change
    assert load(params).scoring.candidates == 12


def test_an_override_that_changes_nothing_leaves_the_file_alone(params):
    before = params.stat().st_mtime_ns
    assert apply_overrides(params, {"scoring.candidates": 8}) == ""
    assert params.stat().st_mtime_ns == before


def test_a_key_that_is_in_no_section_is_set_as_a_whole(params):
    apply_overrides(params, dict([parse_override("dense_corpora=[demo]")]))
    assert [*load(params).dense_corpora] == ["demo"]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("scoring.candidatse", 3, "did you mean 'candidates'"),
        ("scorring.candidates", 3, "no 'scorring'"),
        ("scoring.candidates.x", 3, "is a value"),
        ("scoring.candidates", 0, "greater than or equal to 1"),
        ("scoring.candidates", 1000, "raise mining.max_candidates"),
        ("geometry.sequence_chunks", 33, "multiple of stride_chunks"),
        ("runs.demo-retro.corpus", "nowhere", "known are"),
        ("dense_corpora", ["nowhere"], "known are"),
        ("swaps", {"demo-retro": {"corpus": "demo", "system": "retro"}}, "add 'demo' to dense_corpora"),
        (
            "swaps",
            {"demo-retro": {"corpus": "demo", "system": "rpt_sem"}},
            "runs says corpus demo, system retro",
        ),
        ("swaps", {"demo-rtro": {"corpus": "demo", "system": "retro"}}, "runs has only"),
        ("starts", {"demo-retr": {"corpus": "demo", "system": "retro"}}, "runs has only"),
        ("starts", {"demo-retro": {"corpus": "demo", "system": "retro"}}, "add 'demo' to indexed_corpora"),
    ],
)
def test_a_wrong_override_names_the_problem_and_writes_nothing(params, key, value, reason):
    before = params.read_text()
    with pytest.raises(Failure, match=reason) as failure:
        apply_overrides(params, {key: value})
    assert failure.value.code == Exit.USAGE
    assert params.read_text() == before


def test_names_of_the_users_own_are_set_one_by_one_and_may_hold_dots(params):
    given = [
        "where.year=2019",
        "where.meta.config=arxiv",
        "where.ok=true",
        "where.gone=null",
        "splits.test=test/*",
    ]
    for text in given:
        assert apply_overrides(params, dict([parse_override(f"corpora.demo.{text}")])), text
    corpus = load(params).corpora["demo"]
    assert corpus.where == {"year": 2019, "meta.config": "arxiv", "ok": True, "gone": None}
    assert corpus.splits == {"test": "test/*"}
    assert apply_overrides(params, {"corpora.demo.where.gone": None}) == ""
    with pytest.raises(Failure, match="no 'wher'"):
        apply_overrides(params, {"corpora.demo.wher.year": 2019})


@pytest.mark.parametrize(
    "name", ["part #1/a.txt", "C#.txt", "std::vector.txt", "set [2019]/*.txt", "50%.txt", "what?.txt"]
)
def test_a_name_with_marks_is_taken_as_it_is(name):
    assert parse_override(f"corpora.demo.source={name}") == ("corpora.demo.source", name)
    assert parse_override(f"corpora.demo.source='{name}'") == ("corpora.demo.source", name)
    assert parse_override("scoring.candidates=12 # enough") == ("scoring.candidates", 12)


def test_an_override_without_a_value_is_refused():
    with pytest.raises(Failure, match="no '='"):
        parse_override("scoring.candidates")


def test_a_value_that_is_no_yaml_is_refused_with_how_to_quote_it():
    with pytest.raises(Failure, match="no YAML") as failure:
        parse_override("corpora.demo.include=*.tex")
    assert failure.value.code == Exit.USAGE
    assert "-o 'corpora.demo.include=[" in failure.value.remedy


def test_a_corpus_that_is_not_there_is_answered_with_how_to_add_it(params):
    with pytest.raises(Failure, match=r"`\./rpt new tex --source \.\.\.` adds a corpus"):
        apply_overrides(params, {"corpora.tex.source": "x/*.tex"})
