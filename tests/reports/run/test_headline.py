"""The three sentences to remember stay sentences where there are many systems."""

from dataclasses import replace

from reports.metrics.retrieval_rows import Counted, RetrieverFigures
from reports.run.headline import MOST, NOT_OF_THE_PAPER, headline, warnings
from reports.run.report import System
from tests.reports.sample import report_of, sample_report

REPORT = report_of(sample_report())
LABELS = replace(REPORT.labels, best={}, positive_rate={"test": 0.25}, pairs=10, queries=5)
SYSTEMS = ["transformer_xl", "retro", "random", "recency", "rpt_lex", "rpt_sem", "griffin", "block_recurrent"]


def rows(count: int) -> list[System]:
    same = replace(REPORT.systems[0], low=90.0, high=120.0, documents=9, tokens=1000)
    return [
        replace(same, run=f"demo-{system}", system=system, perplexity=100.0 + (7 * place) % 10)
        for place, system in enumerate(SYSTEMS[:count])
    ]


def said(count: int, retrievers: int = 0) -> list[str]:
    precision = {"precision_at_2": Counted(0.1, None, None, 5)}
    measured = [RetrieverFigures(f"r{place}", None, precision, 9, 5, 5) for place in range(retrievers)]
    return headline(rows(count), LABELS, measured, [], False, "test")


def test_what_the_paper_does_not_have_is_said_where_a_system_has_it():
    for name, sentence in NOT_OF_THE_PAPER.items():
        systems = [replace(row, **{name: place == 1}) for place, row in enumerate(rows(2))]
        assert warnings([], systems) == [sentence]
        assert warnings([], systems[:1]) == []


def test_few_are_all_named():
    sentence, _, _ = said(MOST)
    assert [sentence.index(name) for name in ("Transformer-XL", "RETRO", "RPT-Lex", "RPT-Sem")] == sorted(
        sentence.index(name) for name in ("Transformer-XL", "RETRO", "RPT-Lex", "RPT-Sem")
    )
    assert "others" not in sentence


def test_of_many_the_first_the_lowest_and_the_highest():
    sentence, _, _ = said(8)
    assert sentence.endswith(
        "Transformer-XL 100.00 [90.00, 120.00]; of 7 others Nearest chunks 101.00 [90.00, 120.00] is the"
        " lowest, Block-Recurrent, matched 109.00 [90.00, 120.00] the highest"
    )


def test_one_that_diverged_is_neither():
    many = rows(8)
    many[3] = replace(many[3], perplexity=None)
    sentence = headline(many, LABELS, [], [], False, "test")[0]
    assert "RPT-Sem 105.00" not in sentence
    assert "Nearest chunks" not in sentence
    assert "of 7 others Griffin 102.00" in sentence


def test_many_retrievers_are_counted():
    assert said(2, MOST)[2].endswith("r5 10.0%")
    assert said(2, MOST + 3)[2].endswith("r5 10.0%, and 3 more")
