"""The report as one HTML page that needs nothing else: no script, no network, under 1 MB."""

from __future__ import annotations

from typing import Any

from reports import evidence, provenance, results
from reports.markup import Html, clipped, join, tag
from reports.style import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SENTENCE = 600
WARNINGS = 50
_LINKS = (
    ("perplexity", "Perplexity"),
    ("training", "Training"),
    ("retrieval", "Retrieval"),
    ("labels", "Labels"),
    ("examples", "Examples"),
    ("data", "Data"),
    ("reference", "Reference LM"),
    ("artifacts", "Files"),
    ("next", "Go on"),
)


def _head(corpus: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Retrieval-pretrained language models on {clipped(corpus, results.NAME)}"),
        tag("style", Html(CSS)),
    )


def _top(report: dict[str, Any]) -> Html:
    title = tag("h1", "Retrieval-pretrained language models on ", tag("bdi", clipped(report["corpus"], results.NAME)))
    about = (
        "Language models that retrieve from earlier in the same document, compared with ones that do not, all trained and tested on this "
        "corpus by one pipeline (after Retrieval-Pretrained Transformer, arXiv 2306.13421)."
    )
    small = (
        " A small run: one seed and few steps say nothing about which system is better; it shows only that the chain from raw text to "
        "evaluated models works."
    )
    lead = tag("p", about, *([tag("strong", small)] if report["small_scale"] else []), class_="lead")
    headline = tag("ul", *(tag("li", clipped(line, SENTENCE)) for line in report["headline"][:3]), class_="headline")
    warnings = report["warnings"]
    lines = [tag("li", clipped(warning, SENTENCE)) for warning in warnings[:WARNINGS]]
    if len(warnings) > WARNINGS:
        lines.append(tag("li", f"{len(warnings) - WARNINGS:,} more warnings are not shown."))
    red = [tag("ul", *lines, class_="warnings", role="note", aria_label="Warnings")] if lines else []
    links = tag("nav", *(tag("a", words, href=f"#{anchor}") for anchor, words in _LINKS), aria_label="Contents")
    return tag("header", title, lead, headline, *red, links)


def render(report: dict[str, Any]) -> str:
    """The page of a run's report.

    Every text in `report` may be hostile. None and numbers that are not finite read "n/a"; long lists and texts are cut, and say so.
    Units: `difference` is the other system's loss minus this one's, nats a token, positive is better; `best_by_k` is in nats a target
    token; `target_score` is a sum over the target, in nats; rates are shares of 1; a candidate's `rank` counts from 0, that of
    `positive_by_rank` from 1.
    """
    sections = (
        results.perplexity(report["systems"]),
        results.training_curves(report["systems"]),
        results.retrieval(report["retrieval"]),
        evidence.labels(report["labels"]),
        evidence.examples(report["examples"]),
        provenance.data(report["data"]),
        provenance.reference_lm(report["reference_lm"]),
        provenance.artifacts(report["artifacts"]),
        provenance.next_steps(report["small_scale"]),
    )
    body = tag("body", _top(report), tag("main", *sections))
    return str(join([Html("<!doctype html>\n"), tag("html", _head(report["corpus"]), body, lang="en"), Html("\n")]))
