"""Which runs a comparison has, how they come into params.yaml, and that one that fails does not stop the
others.
"""

import shutil
from pathlib import Path

import pytest

from data_contracts.failure import Exit, Failure
from data_contracts.systems import RECORDS
from flows.compare import results
from flows.compare import runs as comparison_runs
from flows.compare.results import directory_of
from flows.compare.runs import Kept, Wanted, add_runs, choose
from flows.overrides import apply_overrides
from flows.plan import Step
from stages.parameters import load
from stages.training.systems import system_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison_runs, "ROOT", tmp_path)
    return Path(shutil.copy(ROOT / "profiles" / "demo.yaml", tmp_path / "params.yaml"))


def test_runs_that_are_there_keep_their_names_and_new_ones_are_named_by_what_they_are(params):
    params.write_text(params.read_text().replace("demo-retro:", "mine:"))
    chosen = choose(load(params), ["transformer_xl", "retro"], [], [0, 2])
    assert chosen == [
        Wanted("demo-transformer_xl", "demo", "transformer_xl", 0),
        Wanted("demo-transformer_xl-s2", "demo", "transformer_xl", 2),
        Wanted("mine", "demo", "retro", 0),
        Wanted("demo-retro-s2", "demo", "retro", 2),
    ]


def test_every_system_can_be_a_run(params):
    chosen = choose(load(params), ["all"], [], [0], dense=True)
    add_runs(load(params), chosen)
    configuration = load(params)
    assert {run.system for run in configuration.runs.values()} == set(RECORDS)
    assert all(system_of(name, run.as_read()).name == run.system for name, run in configuration.runs.items())


def test_what_begins_with_a_trained_run_brings_that_run(params):
    """Of the same corpus and seed, under the name that it has."""
    params.write_text(params.read_text().replace("demo-transformer_xl:", "mine:"))
    chosen = choose(load(params), ["retro_fit"], [], [0, 1])
    assert [one.start for one in chosen] == ["mine", "demo-transformer_xl-s1"]
    add_runs(load(params), chosen)
    configuration = load(params)
    assert configuration.runs["demo-retro_fit"].input == "starts/mine"
    assert configuration.runs["demo-retro_fit-s1"].start == "demo-transformer_xl-s1"
    assert {name: start.system for name, start in configuration.starts.items()} == {
        "mine": "transformer_xl",
        "demo-transformer_xl-s1": "transformer_xl",
    }
    assert configuration.indexed_corpora == ("demo",)
    assert add_runs(configuration, choose(configuration, ["retro_fit"], [], [0, 1])) == ""
    assert [one.stages for one in chosen[:1]] == [["evaluation@demo-retro_fit"]]


def test_what_begins_with_a_run_needs_the_recipe_of_both(params):
    configuration = load(params)
    recipes = {name: recipe for name, recipe in configuration.recipes.items() if name != "transformer_xl"}
    with pytest.raises(Failure, match="no recipe"):
        choose(configuration.model_copy(update={"recipes": recipes}), ["retro_fit"], [], [0])


def test_a_dense_retriever_is_trained_for_the_systems_of_table_4_alone(params):
    chosen = choose(load(params), ["transformer_xl", "retro", "rpt_lex", "random"], [], [0], dense=True)
    assert [one.system for one in chosen if one.dense] == ["retro", "rpt_lex"]
    assert chosen[2].stages == [
        "evaluation@demo-rpt_lex",
        "oracle@demo-rpt_lex",
        "dense_evaluation@demo-rpt_lex",
    ]
    add_runs(load(params), chosen)
    configuration = load(params)
    assert configuration.dense_corpora == ("demo",)
    assert {name: swap.system for name, swap in configuration.swaps.items()} == {
        "demo-retro": "retro",
        "demo-rpt_lex": "rpt_lex",
    }
    assert add_runs(configuration, choose(configuration, ["retro", "rpt_lex"], [], [0], dense=True)) == ""


def test_a_name_that_means_another_run_is_not_taken(params):
    params.write_text(
        params.read_text().replace(
            "system: retro, input: supervision/bm25, seed: 0",
            "system: retro, input: supervision/bm25, seed: 5",
        )
    )
    assert choose(load(params), ["retro"], ["demo"], [0]) == [Wanted("demo-retro-s0", "demo", "retro", 0)]
    both = params.read_text().replace("demo-transformer_xl:", "demo-retro-s0:")
    params.write_text(both)
    with pytest.raises(Failure, match="other runs of the names") as failure:
        choose(load(params), ["retro"], ["demo"], [0])
    assert failure.value.code == Exit.USAGE


def test_all_is_every_system_with_a_recipe(params):
    configuration = load(params)
    assert [one.system for one in choose(configuration, ["all"], [], [0])] == [*RECORDS]
    apply_overrides(params, {"recipes": {"retro": {}}, "runs": {}})
    as_retro = [name for name, record in RECORDS.items() if record.recipe == "retro"]
    assert [one.system for one in choose(load(params), ["all"], [], [0])] == as_retro


@pytest.mark.parametrize(
    ("systems", "corpora", "seeds", "words"),
    [
        (["transformer_lx"], [], [0], "did you mean 'transformer_xl'"),
        (["zzz"], [], [0], "one of transformer_xl"),
        (["griffin"], [], [0], "add `griffin` to `recipes`"),
        (["retro"], ["dmeo"], [0], "did you mean 'demo'"),
        (["retro"], [], [-1], "seeds are 0 or greater"),
    ],
)
def test_what_is_not_there_is_a_usage_error_with_what_was_meant(params, systems, corpora, seeds, words):
    text = "".join(
        line
        for line in params.read_text().splitlines(True)
        if line.strip() not in ("griffin:", "recurrent_layers: [3, 4]")
    )
    params.write_text(text)
    with pytest.raises(Failure) as failure:
        choose(load(params), systems, corpora, seeds)
    assert words in str(failure.value)
    assert failure.value.code == Exit.USAGE


def test_a_system_without_a_recipe_shares_the_one_that_its_record_says(params):
    params.write_text(
        params.read_text().replace("  random: *neighbours\n", "").replace("  rpt_lex: *retriever\n", "")
    )
    change = add_runs(load(params), choose(load(params), ["random", "rpt_lex", "retro"], [], [0]))
    assert [line for line in change.splitlines() if "*" in line] == [
        "+  random: *neighbours",
        "+  rpt_lex: *retriever",
    ]
    apply_overrides(params, {"recipes.retro.neighbours": 3})
    assert load(params).recipes["random"].neighbours == 3


def test_new_runs_are_lines_of_params_yaml_and_nothing_else_changes(params):
    before = params.read_text()
    chosen = choose(load(params), ["retro", "rpt_sem"], [], [0, 1])
    change = add_runs(load(params), chosen)
    added = ["+  demo-retro-s1: {corpus: demo, system: retro, input: supervision/bm25, seed: 1}"]
    added += ["+  demo-rpt_sem-s1: {corpus: demo, system: rpt_sem, input: supervision/scored, seed: 1}"]
    assert [
        line for line in change.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")
    ] == added
    after = params.read_text()
    assert [line for line in after.splitlines() if "-s1: {" not in line] == before.splitlines()
    configuration = load(params)
    assert {system_of(one.name, configuration.runs[one.name]).name for one in chosen} == {"retro", "rpt_sem"}
    assert choose(configuration, ["retro", "rpt_sem"], [], [0, 1]) == chosen
    assert add_runs(configuration, chosen) == ""
    assert params.read_text() == after


def test_a_row_needs_its_evaluation_and_an_oracle_if_it_retrieves_by_itself():
    assert Wanted("a", "demo", "transformer_xl", 0).stages == ["evaluation@a", "ceilings@a"]
    assert Wanted("a", "demo", "retro", 0).stages == ["evaluation@a"]
    assert Wanted("a", "demo", "rpt_sem", 0).stages == ["evaluation@a", "oracle@a"]


def broken(code):
    def work():
        raise Failure("it", "broke", "mend it", code)

    return work


def test_a_run_that_fails_is_left_and_the_others_go_on(capsys):
    kept = Kept()
    assert kept(Step("training@a", ()), broken(Exit.STAGE_FAILED)) == "failed"
    assert kept(Step("evaluation@a", ()), lambda: "ran") == "left out"
    assert kept(Step("start@a", ()), broken(Exit.STAGE_FAILED)) == "left out"
    assert kept(Step("start@c", ()), broken(Exit.STAGE_FAILED)) == "failed"
    assert kept(Step("training@b", ()), lambda: "ran") == "ran"
    assert kept(Step("evaluation@b", ()), broken(Exit.CONTRACT)) == "failed"
    assert kept.failure.code == Exit.STAGE_FAILED, "the first one"
    assert "training@a failed: broke; the other runs go on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "code"),
    [("mining@demo", Exit.STAGE_FAILED), ("training@a", Exit.INTERRUPTED), ("oracle@a", Exit.ENVIRONMENT)],
)
def test_what_all_need_and_what_a_person_wants_stops_everything(stage, code):
    with pytest.raises(Failure):
        Kept()(Step(stage, ()), broken(code))


def test_what_is_copied_is_left_out_aloud_where_passages_cannot_be_read(tmp_path, capsys):
    assert results._overlap(tmp_path) is None
    assert capsys.readouterr().err == ""
    damaged = tmp_path / "corpus_neighbours" / "manifest.json"
    damaged.parent.mkdir()
    damaged.write_text("{}")
    assert results._overlap(tmp_path) is None
    assert '"How much is copied" is left out: ' in capsys.readouterr().err


def test_passages_are_not_read_for_runs_that_were_not_evaluated(params, tmp_path, monkeypatch, capsys):
    damaged = tmp_path / "artifacts" / "demo" / "corpus_neighbours" / "manifest.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{}")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    chosen = choose(load(params), ["retro_corpus"], ["demo"], [0])
    add_runs(load(params), chosen)
    (corpus,) = results.compared(load(params), "it", chosen, {}).corpora
    assert corpus.copied == []
    assert capsys.readouterr().err == ""


def test_the_name_is_that_of_a_directory():
    chosen = [Wanted("a", "math", "retro", 0), Wanted("b", "code", "retro", 0)]
    assert directory_of(None, chosen).name == "math-code"
    assert directory_of("try.2", chosen).name == "try.2"
    for name in ("..", "a/b", "", ".hidden", "x" * 101):
        if name:
            with pytest.raises(Failure, match="plain name"):
                directory_of(name, chosen)
