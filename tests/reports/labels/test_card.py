"""The label card: a header that any YAML parser reads, and text that stays text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from data_contracts.candidates import LABELS
from reports.html.markup import clipped, visible
from reports.labels import card as label_card
from reports.labels.card import markdown
from reports.labels.card_header import header, license_of, size_category
from tests.hostile import HOSTILE, check_each
from tests.reports.label_sample import report_of


def card(report):
    """The card of what may be changed."""
    return label_card.card(report_of(report))


def parsed(text: str):
    return YAML(typ="safe", pure=True).load(text)


def header_of(readme: str):
    start, yaml, _ = readme.split("---\n", 2)
    assert start == ""
    return parsed(yaml)


def test_the_card_says_what_a_row_is_and_who_made_it(label_report):
    text = card(label_report)
    for column in LABELS.schema:
        assert f"| `{column.name}` |" in text
    for said in (
        "| made-up |",
        "`scoring.candidates`",
        "**failed**",
        "Weak labels: The split-half",
        "64 tokens",
        "after `./rpt labels publish FOLDER`",
    ):
        assert said in text, said
    assert text == card(label_report)


def test_a_card_without_labels(label_report):
    label_report.update(splits={}, licenses=[])
    found = header_of(card(label_report))
    assert (found["size_categories"], found["license"]) == (["n<1K"], "unknown")


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        ([], {"license": "unknown"}),
        ([""], {"license": "unknown"}),
        (["MIT"], {"license": "mit"}),
        (["Apache-2.0", "MIT", "mit"], {"license": ["apache-2.0", "mit"]}),
        (["CC-BY-2.0", "CC-BY-SA-3.0"], {"license": ["cc-by-2.0", "cc-by-sa-3.0"]}),
        (["PSF-2.0"], {"license": "other", "license_name": "PSF-2.0"}),
        (["MIT", "PSF-2.0"], {"license": "other", "license_name": "several"}),
        (["", "MIT"], {"license": "other", "license_name": "several"}),
    ],
)
def test_licences(licenses, expected):
    assert license_of(licenses) == expected


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (999_999, "100K<n<1M"), (2_000_000_000, "1B<n<10B")],
)
def test_size_categories(rows, name):
    assert size_category(rows) == name


def check_header(report, text):
    report.update(corpus=text, licenses=[text])
    found = parsed(header(report_of(report), texts=False))
    assert found["pretty_name"] == f"Retrieval labels of {visible(clipped(text, 200))}"
    assert found.get("license_name", visible(clipped(text, 200))) == visible(clipped(text, 200))
    assert {"split": "train", "path": "labels/train-*.parquet"} in found["configs"][0]["data_files"]


LOOKS_LIKE_YAML = [
    "yes",
    "null",
    "~",
    "1e3",
    "- a",
    "a: b",
    "#",
    "---",
    "\n",
    "%",
    "2026-01-01",
    "&a",
    "*a",
    "!!python/none",
]


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(st.characters(categories=None), min_size=1), st.sampled_from(LOOKS_LIKE_YAML)))
def test_the_header_survives_any_text(shared_label_report, text):
    check_header(dict(shared_label_report), text)


def test_the_header_survives_hostile_text(label_report):
    check_each(HOSTILE, lambda text: check_header(label_report, text))


def test_hostile_text_does_nothing_in_markdown(label_report):
    def check(text):
        label_report.update(corpus=text, licenses=[text], scorer={text: text})
        for gate in label_report["gates"]["gates"]:
            gate.update(name=text, sentence=text)
        lines, harmless = (
            card(label_report).split("---\n", 2)[2].splitlines(),
            card({**label_report, "corpus": "harmless"}).splitlines(),
        )
        assert len(lines) > 60
        assert [line for line in lines if line.startswith("#")][1:] == [
            line for line in harmless if line.startswith("#") and "labels of" not in line
        ]
        for line in lines:
            assert not {letter for letter in line if letter < " "}
            if line.startswith("| "):
                assert line.count("|") - line.count("\\|") in (3, 5, 9), line

    check_each(HOSTILE, check)


def test_markdown_escapes_what_would_act():
    assert markdown("<b>&amp; [a](b) `c` |*d*_e") == r"\<b\>\&amp; \[a\](b) \`c\` \|\*d\*\_e"
    assert markdown("http://a.b www.c x@y") == r"http:\//a.b www\.c x\@y"
    assert markdown("a\nb\tc\x1b") == r"a\\nb\\tc\\u001b"
