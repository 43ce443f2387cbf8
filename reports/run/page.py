"""The report as one HTML page that needs nothing else: no script, no network, under 1 MB."""

from __future__ import annotations

from reports.html import parts as results
from reports.html.frame import SENTENCE, contents, page, warning_list
from reports.html.markup import Html, clipped, tag
from reports.labels import label_sections
from reports.run import ceiling_section as ceiling_results
from reports.run import data_sections
from reports.run import examples as example_results
from reports.run import neighbours as neighbour_results
from reports.run import perplexity_section as perplexity_results
from reports.run import retrieval_section as retrieval_results
from reports.run.report import RunReport

_LINKS = (
    ("perplexity", "Perplexity"),
    ("ceilings", "What the past holds"),
    ("training", "Training"),
    ("neighbours", "Neighbours"),
    ("positions", "Position"),
    ("retrieval", "Retrieval"),
    ("analysis", "Overlap and gold"),
    ("examples", "Examples"),
    ("labels", "Labels"),
    ("data", "Data"),
    ("reference", "Reference LM"),
    ("artifacts", "Files"),
    ("next", "Go on"),
)


def _header(report: RunReport) -> list[Html]:
    title = tag(
        "h1", "Retrieval-pretrained language models on ", tag("bdi", clipped(report.corpus, results.NAME))
    )
    about = (
        "Language models that retrieve from earlier in the same document, compared with ones that do not, all"
        " trained and tested on this corpus by one pipeline (after Retrieval-Pretrained Transformer, arXiv"
        " 2306.13421)."
    )
    small = (
        " A small run: so little text says nothing about which system is better; it shows only that the chain"
        " from raw text to evaluated models works."
    )
    lead = tag("p", about, *([tag("strong", small)] if report.small_scale else []), class_="lead")
    headline = tag(
        "ul", *(tag("li", clipped(line, SENTENCE)) for line in report.headline[:3]), class_="headline"
    )
    return [title, lead, headline, *warning_list(report.warnings), contents(_LINKS)]


def render(report: RunReport) -> str:
    """The page of a run's report.

    Every text in `report` may be hostile. None and numbers that are not finite read "n/a"; long lists and
    texts are cut, and say so.
    """
    colours = results.colours_of(report.systems)
    sections = (
        perplexity_results.perplexity(
            report.evaluation,
            report.systems,
            report.seeds,
            report.orders,
            [*report.settings, *report.oracles],
        ),
        ceiling_results.ceilings(report.ceilings),
        results.training_curves(report.systems, report.evaluation.split),
        neighbour_results.neighbours(report.settings, report.oracles, report.oracles_all, colours),
        neighbour_results.positions(report.positions, colours),
        retrieval_results.retrieval(
            report.retrieval, report.rerank, report.exhaustive, report.retrieved, report.frozen_reader
        ),
        retrieval_results.analysis(report.overlap, report.subgroups, colours),
        example_results.gain_examples(report.gain_examples),
        label_sections.labels(report.labels),
        data_sections.data(report.data),
        data_sections.reference_lm(report.reference_lm),
        data_sections.artifacts(report.artifacts),
        data_sections.next_steps(report.small_scale),
    )
    title = f"Retrieval-pretrained language models on {clipped(report.corpus, results.NAME)}"
    return page(title, _header(report), sections)
