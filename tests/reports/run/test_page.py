"""What the page holds, in which order, and that it holds it whatever is missing."""

from __future__ import annotations

import math
import random
import re
from copy import deepcopy

import pytest

from reports.html.frame import POLICY
from reports.html.parts import averaged, curve_table
from tests.reports.sample import render

SECTIONS = 13


def test_order_of_the_page(sample, parse):
    page = parse(render(sample))
    assert page.all_text("h1") == ["Retrieval-pretrained language models on demo"]
    assert page.all_text("h2") == [
        "Perplexity",
        "What the past holds",
        "Training",
        "Neighbours at test",
        "Where in a document",
        "Retrieval against gold",
        "What was retrieved, and what it brought",
        "Examples of what was retrieved",
        "Labels",
        "Data",
        "Reference language model",
        "Where everything lies",
        "How to go on",
    ]
    html = render(sample)
    places = [html.index(f'class="{name}"') for name in ("lead", "headline", "warnings")]
    assert places == sorted(places)
    assert places[-1] < html.index("<h2>")


def test_links_lead_to_sections(sample, parse):
    page = parse(render(sample))
    links = [attributes["href"] for name, attributes in page.elements if name == "a"]
    assert links.pop() == "../label_report/index.html"
    assert links == [f"#{attributes['id']}" for name, attributes in page.elements if name == "section"]


def test_the_page_needs_nothing_else(sample, parse):
    html = render(sample)
    page = parse(html)
    policies = [
        attributes["content"]
        for name, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [POLICY] == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert html.startswith("<!doctype html>\n<html")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://", html)
    assert not {name for name, _ in page.elements} & {"script", "link", "img", "iframe"}


def test_every_figure_has_a_chart_of_each_width_words_and_numbers(sample, parse):
    html = render(sample)
    figures = re.findall(r"<figure>.*?</figure>", html, re.DOTALL)
    assert len(figures) == 11
    for figure in figures:
        inside = [name for name, _ in parse(figure).elements]
        assert (inside.count("svg"), inside.count("details"), inside.count("table")) == (2, 1, 1)


def test_small_scale_is_said_only_where_it_holds(sample):
    assert "says nothing about which system is better" in render(sample)
    sample["small_scale"] = False
    assert "says nothing about which system is better" not in render(sample)


def test_gates_show_figures_limits_and_verdicts(shared_sample, parse):
    rows = [row for row in parse(render(shared_sample)).all_text("tr") if "passed" in row or "failed" in row]
    assert rows == [
        "planted copypassed0.810[0.760, 0.860]at least 0.50nats a pipeline token0.2945",
        "split-half correlationfailed0.140[0.090, 0.190]at least 0.20within queriesn/a",
        "positive ratepassed0.198[0.148, 0.248]0.02 to 0.60share of pairsn/a",
    ]
    assert (
        "measured on 6 documents of the validation split; fewer than 8, so the intervals are not meaningful"
        in render(shared_sample)
    )


def test_a_gate_that_could_not_be_measured_failed(sample, parse):
    sample["labels"]["gates"]["gates"][0].update(
        value=None, low=None, high=None, a_byte=None, verdict="failed"
    )
    assert "planted copyfailedn/an/aat least 0.50nats a pipeline tokenn/a" in parse(render(sample)).all_text(
        "tr"
    )


def test_warnings_are_absent_without_a_reason(sample):
    sample["warnings"] = []
    assert 'class="warnings"' not in render(sample)


def test_published_numbers_are_set_apart(sample, parse):
    page = parse(render(sample))
    assert page.all_text("th", "foreign") == ["published: other corpora and scale"]
    rows = page.all_text("tr")
    published = rows.index(next(row for row in rows if row.startswith("RPT-Sem21.93")))
    assert rows[published] == "RPT-Sem21.93[20.39, 23.68]1.42 M2.772.1710.9613.91242 M1.51"
    assert rows[published - 1].startswith(
        "RPT-Sem, 3 seeds21.99 \N{PLUS-MINUS SIGN} 0.051\N{EN DASH}1.42 M2.77"
    )
    assert "RPT-Lex2.922.2311.5914.32242 M1.51" in rows, "not run, so it is folded away without dashes"
    assert next(row for row in rows if row.startswith("RPT-Sem, oracle")).startswith(
        "RPT-Sem, oracle20.10[18.80, 21.70]1.42 M2.69"
    )


def test_the_lowest_perplexity_of_a_system_alone_is_bold(sample, parse):
    spread = "21.99 \N{PLUS-MINUS SIGN} 0.051"
    assert parse(render(sample)).all_text("b")[:1] == [spread], "the mean, not the luckiest seed"
    assert "21.93" not in parse(render(sample)).all_text("b")
    assert "20.10" not in parse(render(sample)).all_text("b"), "an oracle is no system"
    sample["seeds"][0]["mean"] = 22.9
    assert parse(render(sample)).all_text("b")[:1] == ["22.34"], "of one seed, and lower than the mean"
    sample["seeds"] = []
    assert parse(render(sample)).all_text("b")[:1] == ["21.93"]
    sample["systems"] = sample["systems"][:1]
    assert "22.81" not in parse(render(sample)).all_text("b"), "nothing is compared with it"


def test_what_was_measured_over_fewer_documents_is_not_in_one_column_with_all(sample, parse):
    def named(report) -> list[str]:
        return [
            row[:36] for row in parse(render(report)).all_text("tr") if row.startswith("RPT-Sem, 3 neigh")
        ]

    assert named(sample) == ["RPT-Sem, 3 neighbours2.752.1610.9213"]
    for row in sample["settings"]:
        row["documents"] = 11
    assert named(sample) == ["RPT-Sem, 3 neighbours21.91[20.37, 23"]


def test_the_evaluated_split_and_where_documents_were_cut_are_named(sample, parse):
    page = parse(render(sample))
    assert "this run, test split" in page.all_text("th")
    assert "counted up to token 16,384, where 3 of them were cut, the same ones for all" in render(sample)
    sample["evaluation"] = {"split": "validation", "max_tokens_per_document": 65_536, "documents_cut": 0}
    html = render(sample)
    assert "this run, validation split" in parse(html).all_text("th")
    assert "Every token after the first of a document is counted, the same ones for all" in html
    for words in ("test perplexity", "test tokens", "test split"):
        assert words not in html.lower()


def test_settings_of_few_documents_say_so(sample):
    words = "With fewer than 8 documents the intervals are not meaningful"
    before = render(sample).count(words)
    for row in sample["settings"]:
        row["documents"] = 11
    assert render(sample).count(words) == before - 1
    assert "4 docs" not in render(sample)


def test_a_run_counts_in_every_way(sample, parse):
    row = next(
        text for text in parse(render(sample)).all_text("tr") if text.startswith("demo-rpt_sem021.9322.81")
    )
    gain = "+0.039 [+0.018, +0.058]"
    assert row == f"demo-rpt_sem021.9322.8121.273.0884.4551.782 [1.742, 1.832]{gain}{gain}98,30411"


def test_a_system_that_the_paper_lacks_and_a_second_seed_have_rows_of_their_own(sample, parse):
    sample["systems"] += [{**sample["systems"][1], "run": "demo-random", "system": "random", "published": {}}]
    sample["systems"] += [{**sample["systems"][2], "run": "second-seed"}]
    rows = parse(render(sample)).all_text("tr")
    assert any(row.startswith("Random retrieval22.34") for row in rows)
    assert [row.split("21.93")[0] for row in rows if row.startswith("RPT-Sem (")] == [
        "RPT-Sem (demo-rpt_sem)",
        "RPT-Sem (second-seed)",
    ]


def test_two_seeds_are_told_apart_wherever_they_stand(sample, parse):
    for name in ("systems", "subgroups"):
        sample[name] += [{**row, "run": "again"} for row in sample[name] if row["system"] == "rpt_sem"]
    first = {**sample["retrieval"].pop(), "retriever": "demo-rpt_sem"}
    precision = {"value": 0.5, "low": 0.4, "high": 0.6, "queries": 300}
    again = {"retriever": "again", "figures": {**first["figures"], "precision_at_2": precision}}
    sample["retrieval"] += [first, {**first, **again}]
    page = parse(render(sample))
    rows = page.all_text("tr")
    dash = "\N{EN DASH}"
    assert f"against the labels, again{dash * 2}50.0{dash * 2}18.2{dash * 2}12.1" in rows
    assert f"against the labels, demo-rpt_sem{dash * 2}7.1{dash * 2}18.2{dash * 2}12.1" in rows
    names = page.all_text("text", "name")
    assert {"gold: demo-rpt_sem", "gold: again", "gold: RETRO"} <= {*names}
    assert "gold: RPT-Sem" not in names


def test_what_is_compared_with_one_of_two_runs_names_that(sample):
    sample["systems"].append({**sample["systems"][0], "run": "other-seed"})
    assert "Gain over demo-transformer_xl" in render(sample)


def test_one_number_of_neighbours_is_a_table_and_no_chart(sample, parse):
    charts = render(sample).count("Perplexity by neighbours read")
    assert charts
    sample["settings"] = [row for row in sample["settings"] if row["setting"] in ("own", "first_1")]
    html = render(sample)
    assert "Perplexity by neighbours read" not in html
    assert any(row.startswith("demo-rpt_semfirst22.02") for row in parse(html).all_text("tr"))


def test_the_share_of_resamples_that_were_left_out_is_said(sample):
    assert "0.22 [0.13, 0.31]; 1.2 % left out" in render(sample)
    assert "0.31 [0.23, 0.39]<" in render(sample)


def test_systems_are_drawn_best_first_and_keep_their_colour(sample, parse):
    chart = parse(re.search(r"<svg.*?</svg>", render(sample), re.DOTALL)[0])
    assert chart.all_text("text", "name") == ["demo-rpt_sem", "demo-retro", "demo-transformer_xl"]
    assert [attributes["class"] for name, attributes in chart.elements if name == "g"] == ["s2", "s1", "s0"]


def test_gains_are_drawn_from_zero_with_better_to_the_right(sample, parse):
    gains = re.findall(r"<svg.*?</svg>", render(sample), re.DOTALL)[2]
    zero = float(re.search(r'<line x1="([\d.]+)"[^>]* class="zero"', gains)[1])
    retro, rpt_sem = (float(x) for x in re.findall(r'<circle cx="([\d.]+)"', gains))
    assert zero < retro < rpt_sem
    assert parse(gains).all_text("text", "axis") == ["nats a token (higher is better)"]


def test_splits_are_in_their_usual_order(sample, parse):
    terms = parse(render(sample)).all_text("dt")
    assert terms[2:5] == ["positive, train", "positive, validation", "positive, test"]


def test_retrieval_is_shown_beside_chance(sample, parse):
    page = parse(render(sample))
    row = next(text for text in page.all_text("tr") if text.startswith("RPT-Sem0.071"))
    parts = row.split("\N{MULTIPLICATION SIGN}")
    assert parts == [
        "RPT-Sem0.071 [0.051, 0.091]2.09",
        "3000.182 [0.162, 0.202]2.25",
        "2510.121 [0.101, 0.141]2.05",
        "251",
    ]
    sample["retrieval"] = sample["retrieval"][1:]
    row = next(text for text in parse(render(sample)).all_text("tr") if text.startswith("RPT-Sem0.071"))
    assert row == "RPT-Sem0.071 [0.051, 0.091]n/a3000.182 [0.162, 0.202]n/a2510.121 [0.101, 0.141]n/a251"


def test_what_was_retrieved_and_scored_has_a_block_and_a_table_of_its_own(sample, parse):
    rows, dash = parse(render(sample)).all_text("tr"), "\N{EN DASH}"
    assert f"retrieved neighbours scored31.0{dash}27.0{dash * 6}" in rows
    assert f"retrieved neighbours scored, chance (17 queries){'19.0' * 3}{dash * 6}" in rows
    assert "RPT-Sem0.270 [0.230, 0.310]15011" in rows
    assert "random (chance)0.190 [0.150, 0.230]176" in rows
    sample["retrieved"] = []
    assert "retrieved neighbours scored" not in render(sample).lower()


def test_a_frozen_reader_has_a_table_of_its_own(sample, parse):
    rows = parse(render(sample)).all_text("tr")
    assert "BM25133.50 [32.00, 35.00]-0.071" in next(
        row.replace("\N{MINUS SIGN}", "-") for row in rows if row.startswith("BM25133")
    )
    sample["frozen_reader"] = []
    assert "frozen reader" not in render(sample).lower()


@pytest.mark.parametrize(
    "name", ["retrieval", "rerank", "exhaustive", "retrieved", "frozen_reader", "subgroups"]
)
def test_few_documents_make_no_interval_of_retrieval_meaningful(sample, name):
    for rows in ("settings", "retrieved"):
        for row in sample[rows]:
            row["documents"] = 11
    words = "With fewer than 8 documents the intervals are not meaningful"
    assert words not in render(sample)
    for row in sample[name]:
        row["documents"] = 7
    assert render(sample).count(words) == 1


def test_figure_6_says_whether_it_goes_by_the_sample_or_by_the_labels(sample):
    assert "so both groups are sure" in render(sample)
    for row in sample["subgroups"]:
        row["scored"] = "labels"
    assert "so this is by the labels" in render(sample)
    assert "so both groups are sure" not in render(sample)


def test_orders_that_may_be_claimed_are_shown_or_that_there_are_none(sample, parse):
    assert "RPT-SemTransformer-XL0.820.060" in parse(render(sample)).all_text("tr")
    sample["orders"] = []
    assert "None may be claimed." in render(sample)


def test_several_runs_compared_with_their_own_seed_say_so(sample):
    again = {**sample["systems"][2], "run": "again", "seed": 1}
    sample["systems"].append({**again, "difference": {**again["difference"], "against": "other-seed"}})
    assert "Gain over Transformer-XL of the same seed" in render(sample)


def test_inputs_are_accounted_for(sample):
    assert "61 inputs = 55 documents + 6 quarantined" in render(sample)
    assert "not accounted for" not in render(sample)
    sample["data"]["inputs"] = 63
    assert "The two sides differ by 2: some inputs are not accounted for." in render(sample)


def _numbers(value, path=()):
    """The paths of all numbers in a report."""
    if isinstance(value, bool | str) or value is None or path == ("version",):
        return []
    if isinstance(value, int | float):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, item in items for found in _numbers(item, (*path, key))]


def _replaced(report, path, value):
    copy = deepcopy(report)
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def test_any_missing_number_reads_not_available(sample, parse):
    """Every number once, each in one of the four ways in which it may be missing: all four for each would be
    half of this file's time.
    """
    for name in (
        "systems",
        "settings",
        "retrieval",
        "rerank",
        "exhaustive",
        "retrieved",
        "frozen_reader",
        "overlap",
        "subgroups",
        "gain_examples",
    ):
        sample[name] = sample[name][-1:]
    for name in ("bins", "runs"):
        sample["positions"][name] = sample["positions"][name][-1:]
    for run in sample["positions"]["runs"]:
        run.update(nats=run["nats"][-1:], gain=run["gain"][-1:])
    for model in (sample["reference_lm"], sample["systems"][0]):
        model["curve"] = model["curve"][:3]
    words = re.compile(r"\b(nan|inf|none)\b", re.IGNORECASE)
    before = len(words.findall(parse(render(sample)).all_text("body")[0]))
    paths = _numbers(sample)
    assert len(paths) > 50
    missing = random.Random(0).choices([None, math.nan, math.inf, -math.inf], k=len(paths))
    for path, value in zip(paths, missing, strict=True):
        html = render(_replaced(sample, path, value))
        page = parse(html)
        assert not page.unbalanced
        assert len(words.findall(page.all_text("body")[0])) == before, (path, value)
        # A loss without a step is left out, and a gate may have no upper limit.
        if not ("curve" in path and path[-1] == 0) and path[-1] != "most":
            assert "n/a" in html, (path, value)


LISTS = [
    "systems",
    "seeds",
    "orders",
    "settings",
    "oracles",
    "oracles_all",
    "retrieval",
    "rerank",
    "exhaustive",
    "retrieved",
    "frozen_reader",
]
LISTS += ["overlap", "subgroups", "gain_examples", "artifacts", "warnings"]


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_list_leaves_its_section_standing(sample, parse, name):
    sample[name] = []
    assert len(parse(render(sample)).all_text("h2")) == SECTIONS


def test_what_was_not_run_leaves_its_section_standing(sample, parse):
    sample["labels"].update(scorer={}, positive_rate={})
    sample["labels"]["gates"]["gates"] = []
    sample["reference_lm"]["curve"] = []
    sample["data"].update(quarantined={}, inputs=55)
    for system in sample["systems"]:
        system.update(curve=[], published=None, difference=None)
    page = parse(render(sample))
    assert len(page.all_text("h2")) == SECTIONS
    assert not page.unbalanced


def test_a_huge_report_is_cut_says_so_and_stays_under_a_megabyte(sample):
    system = {**sample["systems"][2], "curve": [[step, 3.0 + 1 / (1 + step)] for step in range(20_000)]}
    sample["systems"] = [{**system, "run": f"run-{index}"} for index in range(12)]
    sample["warnings"] = ["w" * 5_000] * 500
    sample["gain_examples"] = [
        {**sample["gain_examples"][0], "query": "q" * 5_000, "target": "t" * 5_000}
    ] * 500
    sample["data"]["quarantined"] = {f"reason {index}": 1 for index in range(5_000)}
    sample["data"]["inputs"] = 5_055
    html = render(sample)
    assert len(html.encode("utf-8")) < 1_000_000
    for said in ("450 more warnings are not shown", "4,900 more rows", "more examples are not shown"):
        assert said in html


def test_the_sample_is_small(sample):
    assert len(render(sample).encode("utf-8")) < 120_000


def test_curves_are_averaged_and_keep_what_diverged():
    assert averaged([[1, 2.0], [2, 4.0], [3, 6.0], [4, 8.0]], limit=2) == [(1.5, 3.0), (3.5, 7.0)]
    assert averaged([[1, 2.0], [2, math.nan], [3, 6.0]], limit=2) == [(1.5, None), (3.0, 6.0)]
    assert len(averaged([[step, 1.0] for step in range(10_001)], limit=100)) <= 100


def test_curve_table_has_the_first_and_the_last_step():
    head, rows = curve_table(
        ["a", "b"], [[[step, 1.0] for step in range(1, 1001)], [[1, 2.0], [1000, math.nan]]]
    )
    assert head == ["step", "a", "b"]
    assert len(rows) <= 21
    assert rows[0] == ["1", "1.000", "2.000"]
    assert rows[-1] == ["1,000", "1.000", "n/a"]
    assert rows[1][2] == "\N{EN DASH}"
