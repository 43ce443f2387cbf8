"""The page of the labels: what it holds, that it holds it whatever is missing, and that hostile text in it is
text.
"""

import math
import re
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.html.frame import POLICY
from reports.html.markup import clipped
from reports.html.parts import NAME
from reports.labels import findings as said
from tests.hostile import HOSTILE, acting, check_each
from tests.reports.hostile import check_nothing_acts, shortened
from tests.reports.label_sample import render, report_of

HEADINGS = [
    "Are they fit to train on?",
    "Is k enough?",
    "What helps, and where it lies",
    "Scores",
    "Copies of the target",
    "Examples to read",
    "Cost and identity of the scorer",
    "How to go on",
]


def warnings(report):
    """What stands in red."""
    return said.warnings(report_of(report))


def test_order_of_the_page_and_its_links(label_report, parse):
    page = parse(render(label_report))
    assert page.all_text("h1") == ["Labels of demo"]
    assert page.all_text("h2") == HEADINGS
    links = [attributes["href"] for name, attributes in page.elements if name == "a"]
    assert links == [f"#{attributes['id']}" for name, attributes in page.elements if name == "section"]


def test_the_page_needs_nothing_else(label_report, parse):
    html = render(label_report)
    assert [
        attributes["content"] for _, attributes in parse(html).elements if "http-equiv" in attributes
    ] == [POLICY]
    assert not re.search(r"https?://|url\(|@import", html)
    assert not {name for name, _ in parse(html).elements} & {"script", "link", "img", "iframe"}


def test_a_table_stands_behind_every_chart(label_report, parse):
    figures = re.findall(r"<figure>.*?</figure>", render(label_report), re.DOTALL)
    assert len(figures) == 7
    for figure in figures:
        inside = [name for name, _ in parse(figure).elements]
        assert (inside.count("svg"), inside.count("details"), inside.count("table")) == (2, 1, 1)
        assert parse(figure).all_text("thead")[0].endswith("trainvalidationtest")


def test_the_top_says_how_many_how_good_whether_k_is_enough_and_what_is_copied(label_report, parse):
    tiles = parse(render(label_report)).all_text("b")[:4]
    assert tiles[0] == f"{sum(split['pairs'] for split in label_report['splits'].values()):,} labels"
    assert tiles[1] == "1 of 2 gates passed"
    assert tiles[2].replace("\N{NO-BREAK SPACE}", " ").startswith("k = 8 ")
    assert tiles[3].endswith("\N{NO-BREAK SPACE}% are copies")
    assert [found.poor for found in said.findings(report_of(label_report))][:2] == [False, True]


def test_numbers_behind_a_chart_are_those_of_the_statistics(label_report, parse):
    row = label_report["splits"]["test"]["by_rank"][2]
    shown = next(
        text
        for text in parse(render(label_report)).all_text("tr")
        if text.startswith("3") and f" of {row['pairs']:,}" in text
    )
    assert (
        f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}] of {row['pairs']:,}"
        in shown
    )


def test_warnings_name_what_is_wrong(label_report):
    label_report["splits"]["train"]["copies"]["of_positives"]["value"] = 0.31
    found = " ".join(warnings(label_report))
    assert "Weak labels: The split-half correlation is 0.14." in found
    assert "Intervals of validation are not meaningful: 2 documents" in found
    assert "31.0 % of the positive labels of train copy their target" in found
    for gate in label_report["gates"]["gates"]:
        gate["verdict"] = "passed"
    for split in label_report["splits"].values():
        split["documents"], split["copies"]["of_positives"]["value"] = 8, 0.2
    assert warnings(label_report) == []
    label_report["splits"]["train"]["positives"] = 0
    del label_report["splits"]["test"]
    assert warnings(label_report) == [
        "There is no label in test.",
        "No candidate of train helps: there is nothing that a retriever could learn.",
    ]


@pytest.mark.parametrize("missing", [[], ["train"], ["validation", "test"], ["train", "validation", "test"]])
def test_splits_without_labels(label_report, parse, missing):
    for split in missing:
        del label_report["splits"][split]
    page = parse(render(label_report))
    assert not page.unbalanced
    assert page.all_text("h2") == (HEADINGS if label_report["splits"] else [HEADINGS[0], *HEADINGS[-2:]])
    assert (f"There is no label in {' and '.join(missing)}." in page.all_text("ul", "warnings")[0]) == bool(
        missing
    )


def test_no_examples_and_no_gates(label_report, parse):
    label_report["examples"] = {kind: [] for kind in label_report["examples"]}
    label_report["gates"]["gates"] = []
    page = parse(render(label_report))
    assert page.all_text("p", "note").count("There is none.") == 4
    assert "No gate measured" in page.all_text("b")


def _estimates(value, path=()):
    """The paths of all figures with an interval."""
    if isinstance(value, dict) and {"value", "low", "high"} <= value.keys():
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [found for key, item in items for found in _estimates(item, (*path, key))]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_a_figure_that_is_missing_reads_not_available(shared_label_report, parse, missing):
    train = {"train": shared_label_report["splits"]["train"]}
    paths = _estimates(train)
    assert len(paths) > 40
    for path in paths[:: 1 if missing is None else 5]:
        report = deepcopy({**shared_label_report, "splits": train})
        inner = report["splits"]
        for key in path:
            inner = inner[key]
        inner.update(value=missing, low=missing, high=missing)
        page = parse(render(report))
        assert not page.unbalanced
        text = page.all_text("body")[0]
        assert "n/a" in text, path
        assert not re.search(r"\b(nan|inf)\b", text), path


def hostile(report, text):
    """`text` wherever the run decides about a text."""
    report["corpus"] = text
    report["scorer"] = {text: text}
    report["gates"]["split"] = text
    for gate in report["gates"]["gates"]:
        gate.update(name=text, unit=text, sentence=text)
    for example in (example for examples in report["examples"].values() for example in examples):
        example.update(doc_id=text, source=text, query=text, target=text)
        for candidate in example["candidates"]:
            candidate["text"] = text
    return report


def test_hostile_text_is_text(shared_label_report, parse):
    short = shortened(shared_label_report)
    expected = parse(render(hostile(deepcopy(short), "harmless")))
    whole = parse(render(hostile(deepcopy(shared_label_report), "harmless")))
    assert {name for name, _ in whole.elements} == {name for name, _ in expected.elements}

    def check(text):
        html = render(hostile(deepcopy(short), text))
        page = parse(html)
        assert not page.unbalanced
        assert not page.open
        assert structure(page) == structure(expected)
        assert set(page.all_text("div", "chunk")) == {text}
        assert page.all_text("bdi") == [clipped(text, NAME)] * len(expected.all_text("bdi"))
        check_nothing_acts(page)
        assert not acting(html) - {"\t"}
        html.encode("utf-8")

    check_each(HOSTILE, check)


def structure(page):
    """The elements in order, with the names of their attributes."""
    return [(name, tuple(attributes)) for name, attributes in page.elements if name != "mark"]


@settings(max_examples=15, deadline=None)
@given(text=st.text(st.characters(categories=None), min_size=1, max_size=60))
def test_any_text_is_text(shared_label_report, parse, text):
    page = parse(render(hostile(deepcopy(shared_label_report), text)))
    assert set(page.all_text("div", "chunk")) == {text}


def test_a_page_of_many_queries_is_small(label_sample, tmp_path):
    long = "<&\u202e" * 500
    label_set = label_sample.made_up_set(
        tmp_path, documents=60, chunks=350, candidates=20, text=lambda rng: long
    )
    report = label_sample.label_report(label_set)
    assert sum(split["queries"] for split in report["splits"].values()) > 20_000
    html = render(report)
    assert "more characters are not shown" in html
    assert len(html.encode()) < 5_000_000
