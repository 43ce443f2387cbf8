"""The tables of a comparison: the paper's layout, what was published beside each row, and names that may be
hostile.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from reports.comparison.figures import Measured, corpus_comparison
from reports.comparison.notes import MINIMUM, fairness, orders, warnings
from reports.comparison.page import markdown, render
from reports.comparison.rows import Comparison, Orders, Trained
from reports.comparison.tables import gains, retrievers, runs, table_2, table_3, table_4
from reports.html.parts import NOT_LOGGED
from reports.html.plain_table import PlainTable, Strong, as_markdown, markdown_text
from reports.metrics.evaluation_rows import frames_of
from reports.metrics.published import CORPORA, TABLE_2, TABLE_4
from tests.hostile import HOSTILE, check_each

SIZES = {"layers": 4, "width": 128, "heads": 4, "neighbours": 2, "cca_layers": [3, 4], "gate_window": 32}


def compared(sample, module, corpus="demo", seeds=1, **more):
    """A comparison of a sample's systems, of which `more` are there but not evaluated."""
    frames, known = {}, []
    for system in sample.systems.values():
        retriever = {"transformer_xl": "none", "retro": "bm25", "random": "random"}.get(system, "own")
        for seed in range(seeds):
            run = f"{corpus}-{system}-s{seed}"
            tables = [
                sample.evaluations[f"demo-{system}"],
                *([sample.oracles[f"demo-{system}"]] if f"demo-{system}" in sample.oracles else []),
            ]
            for table in tables:
                frames |= frames_of([(run, table)])
            known.append(
                Trained(
                    run,
                    system,
                    seed,
                    retriever,
                    1_350_000,
                    140,
                    0.5 if retriever == "none" else 0.7,
                    1e9,
                    SIZES,
                )
            )
    known += [Trained(run, system, 0, "own") for system, run in more.items()]
    measured = Measured(
        corpus,
        "test",
        known,
        frames,
        sample.labels,
        sample.candidates,
        module.CHUNK_TOKENS,
        module.STRIDE_CHUNKS,
    )
    return corpus_comparison(measured, 50)


@pytest.fixture(scope="module")
def corpus(evaluations_sample):
    return compared(evaluations_sample.made_up(documents=8), evaluations_sample, griffin="demo-griffin")


@pytest.fixture(scope="module")
def comparison(corpus):
    return Comparison("try", [corpus])


def test_a_stale_row_says_so_and_why(corpus):
    runs_of_corpus = [
        replace(run, stale="scoring@demo: <b>candidates</b>") if run.trained.system == "retro" else run
        for run in corpus.runs
    ]
    old = Comparison("try", [replace(corpus, runs=runs_of_corpus)])
    sentence = (
        "demo-retro-s0 is stale, its figures are of before this change: scoring@demo: <b>candidates</b>."
    )
    assert warnings(old.corpora)[-1] == sentence
    assert "demo-retro-s0 (stale)" in [row[0] for row in runs(old.corpora).rows]
    assert "&lt;b&gt;candidates" in render(old)
    assert "stale" not in render(Comparison("try", [corpus]))


def rows_by_name(plain):
    return {row[0]: row for row in plain.rows}


def test_table_2_has_the_papers_rows_first_and_its_figures_beside_ours(corpus):
    plain = table_2([corpus])
    assert [row[0] for row in plain.rows[: len(TABLE_2)]] == [row.name for row in TABLE_2]
    assert {len(row) for row in plain.rows} == {len(plain.head)}
    rows = rows_by_name(plain)
    ours = next(row for row in corpus.rows if (row.system, row.setting) == ("retro", "own"))
    assert rows["RETRO with BM25"] == [
        "RETRO with BM25",
        f"{ours.perplexity:.2f}",
        f"[{ours.low:.2f}, {ours.high:.2f}]",
        *("1.35 M", "1.40", "1.00"),
        *("2.94", "2.17", "11.44", "14.60", "236 M", "1.35", "1.40"),
    ]
    assert plain.head[plain.foreign_from :] == [*CORPORA, "parameters", "time", "reckoned"]
    assert [name for name in rows if name not in {row.name for row in TABLE_2}] == [
        "Random retrieval",
        "RPT-Lex, 3 neighbours",
        "RPT-Lex, 4 neighbours",
    ]
    assert rows["Griffin"][1:6] == [NOT_LOGGED] * 5
    assert rows["Random retrieval"][plain.foreign_from :] == [NOT_LOGGED] * 7


def test_time_at_test_is_not_that_of_training(corpus):
    rows = rows_by_name(table_2([corpus]))
    assert rows["RPT-Sem, oracle"][3:6] == ["1.35 M", NOT_LOGGED, NOT_LOGGED]


def test_bold_is_the_lowest_and_no_oracle(corpus):
    strong = {row[0] for row in table_2([corpus]).rows for cell in row if isinstance(cell, Strong)}
    assert "RPT-Sem" in strong
    assert not {name for name in strong if "oracle" in name}


def test_table_4_is_published_beside(corpus):
    plain = table_4([corpus])
    assert [row[0] for row in plain.rows] == [row.name for row in TABLE_4]
    rows = rows_by_name(plain)
    assert rows["no neighbour gating"][1:] == [NOT_LOGGED, NOT_LOGGED, "2.92", "2.20", "11.50", "18.68"]
    assert rows["RPT-Sem"][1] != NOT_LOGGED


def test_what_tables_2_and_4_print_of_the_same_system_agrees():
    first = {(row.system, row.setting): row.perplexity for row in TABLE_2}
    shared = [row for row in TABLE_4 if (row.system, row.setting) in first]
    assert len(shared) == 3
    assert all(row.perplexity == first[row.system, row.setting] for row in shared)


def test_table_3_has_this_corpus_and_chance_before_the_papers(corpus):
    plain = table_3([corpus])
    assert [row[0] for row in plain.rows][:3] == ["demo", "demo, chance", "ArXiv, published"]
    assert NOT_LOGGED not in plain.rows[0]
    assert plain.rows[2][1:4] == ["27", "26", "32"]


def test_several_corpora_and_seeds_stand_side_by_side(evaluations_sample):
    both = [
        compared(evaluations_sample.made_up(documents=8), evaluations_sample, name, seeds=3)
        for name in ("math", "code")
    ]
    both[1] = replace(both[1], costs={**both[1].costs, "retro": replace(both[1].costs["retro"], time=1.5)})
    plain = table_2(both)
    assert [group.columns for group in plain.groups] == [3, 3, 3, 7]
    assert plain.head[1:7] == ["perplexity", "95 % interval", "deviation (seeds)"] * 2
    row = rows_by_name(plain)["RETRO with BM25"]
    assert row[3] == "0.000 (3)"
    assert row[7:10] == ["1.35 M", "1.40 / 1.50", "1.00"]
    assert len(gains(both).rows) == 2 * len(both[0].rows)
    assert len(runs(both).rows) == 30
    assert any(" ± 0.0" in row[1] for row in retrievers(both).rows)


def test_what_is_missing_for_a_claim_is_said(corpus, evaluations_sample):
    said = " ".join(fairness([corpus]))
    assert "140 updates: all systems" in said
    assert "2 neighbours in layers 3, 4, gate over 32 chunks: all that read neighbours" in said
    assert (
        "is not complete: without Transformer-XL, as many parameters; Transformer-XL, as much time, and with"
        " fewer than 3 seeds of" in said
    )
    assert "no order is claimed" in " ".join(orders([corpus]))

    def run_of(system, **more):
        first = corpus.runs[0]
        return replace(first, trained=replace(first.trained, system=system, **more))

    every = replace(corpus, runs=[run_of(system) for system in MINIMUM], orders=Orders({}, []))
    assert "is complete" in " ".join(fairness([every]))
    for system, control in (
        ("memorizing_32k", "Transformer-XL, state carried"),
        ("block_recurrent_official", "in Memorizing's official form"),
    ):
        carrying = replace(every, runs=[*every.runs, run_of(system)])
        assert f"{control}, is not here" in " ".join(fairness([carrying]))
    longer = replace(every, runs=[*every.runs, run_of("transformer_xl_longer", steps=210)])
    assert "210 updates: Transformer-XL, 1.5 times the steps" in " ".join(fairness([longer]))


def test_claims_name_the_first_of_all_that_come_after(corpus):
    better = {
        "rpt_sem": ["rpt_lex", "random", "transformer_xl"],
        "retro": ["transformer_xl"],
        "rpt_lex": [],
        "random": [],
        "transformer_xl": [],
    }
    said = orders([replace(corpus, orders=Orders(better, []))])
    assert said[1:] == [
        "demo, lowest first: RPT-Sem; RETRO; RPT-Lex; Random retrieval; Transformer-XL.",
        "demo: RPT-Sem is better than RPT-Lex and all after it.",
        "demo: RETRO is better than Transformer-XL.",
    ]


def test_warnings_name_what_is_not_there_and_what_is_too_little(corpus, evaluations_sample):
    assert warnings([corpus]) == ["demo: not evaluated: demo-griffin."]
    assert warnings([replace(corpus, documents=4, runs=[])]) == [
        "demo: interval not meaningful: 4 documents, fewer than 8."
    ]


def test_all_forms_say_the_same(comparison, parse):
    text, page = markdown(comparison), parse(render(comparison))
    json.dumps(asdict(comparison), allow_nan=False)
    assert not page.unbalanced
    for plain in (table_2(comparison.corpora), table_4(comparison.corpora)):
        for row in plain.rows:
            assert row[0] in page.all_text("th")
            assert any(line.startswith(f"| {row[0]} ") for line in text.splitlines())
    assert page.all_text("th", "foreign") == ["paper: other data and size"] * 2
    assert len([name for name, _ in page.elements if name == "svg"]) == 2
    assert all("href" not in attributes and "src" not in attributes for _, attributes in page.elements)


def test_nothing_to_show_is_a_page_still(comparison, parse):
    measured = Measured("demo", "test", [Trained("demo-retro", "retro", 0, "bm25")], {}, None, None, 64, 2)
    bare = Comparison("bare", [corpus_comparison(measured, 10)])
    assert "demo: nothing is trained." in markdown(bare)
    assert not parse(render(bare)).unbalanced


def kinds(page):
    """Those of its elements."""
    return {name for name, _ in page.elements}


def table_lines(text):
    """Those of Markdown."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_hostile_names_are_text(comparison, parse):
    corpus, clean, lines = comparison.corpora[0], parse(render(comparison)), table_lines(markdown(comparison))

    def check(text):
        runs = [replace(run, trained=replace(run.trained, run=text)) for run in corpus.runs]
        rows = [replace(row, runs=[text]) for row in corpus.rows]
        hostile = Comparison("a", [replace(corpus, corpus=text, split=text, runs=runs, rows=rows)])
        page = parse(render(hostile))
        assert not page.unbalanced
        assert kinds(page) - {"mark"} <= kinds(clean)
        assert len(table_lines(markdown(hostile))) == len(lines)

    check_each(HOSTILE, check)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("demo-transformer_xl", "demo-transformer_xl"),
        ("_a_ *b* `c` <d> |", r"\_a\_ \*b\* \`c\` \<d\> \|"),
        ("[7.28, 7.62] [\N{MINUS SIGN}0.1, +0.1]", "[7.28, 7.62] [\N{MINUS SIGN}0.1, +0.1]"),
        ("[x](http://y)", r"\[x](http://y)"),
        ("a\nb\u202e", r"a b\\u202e"),
    ],
)
def test_text_in_markdown_is_text(text, written):
    assert markdown_text(text) == written


def test_columns_of_markdown_are_aligned():
    lines = as_markdown(PlainTable(["", "x"], [["a", Strong("1.5")], ["long name", "22"]])).splitlines()
    assert lines == [
        "|           |       x |",
        "| --------- | ------: |",
        "| a         | **1.5** |",
        "| long name |      22 |",
    ]
