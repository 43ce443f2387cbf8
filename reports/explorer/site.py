"""The words of the retrieval explorer: its bar, its keys, and what its terms mean."""

from __future__ import annotations

from data_contracts.evaluations import SETTINGS
from reports.explorer.library import Library
from reports.html.markup import clipped, tag
from reports.site import layout

KEYS = (
    ("j", "next chunk, or next row of a list"),
    ("k", "previous chunk or row"),
    ("n", "next document"),
    ("p", "previous document"),
    ("b", "the chunk with the highest gain, then the next best"),
    ("w", "the chunk with the lowest gain, then the next worst"),
    ("s", "show the next system"),
    ("e", "show its next setting"),
    ("a", "compare with the next reading"),
    ("x", "exchange the two"),
    ("1 … 9", "choose a neighbour"),
    ("o", "another order of the neighbours"),
    ("t", "whole texts of all neighbours"),
    ("c", "colour chunks by gain or by loss"),
    ("d", "the document of this chunk"),
    ("h", "systems and documents"),
    ("/", "filter documents"),
    ("?", "this list"),
)
BETWEEN_SETTINGS = (
    "A difference between settings, in which earlier chunks read other neighbours too, so it is not the"
    " effect of this neighbour alone."
)
TERMS = (
    (
        "chunk, target",
        (
            "A chunk of a document asks for neighbours, and its target is the chunk that follows it: the loss"
            " beside a chunk is its target's."
        ),
    ),
    ("neighbour", "An earlier chunk that the model reads, with its continuation, the chunk that follows it."),
    (
        "reading",
        (
            "A run in a setting, which says how its neighbours were chosen. Gains are over the same tokens;"
            " perplexities not always."
        ),
    ),
    ("loss", "Nats summed over the counted tokens of the target; lower is better."),
    (
        "gain",
        (
            "Loss of what is compared with, minus loss of what is shown: blue where what is shown is better,"
            " orange where it is worse."
        ),
    ),
    (
        "alone",
        (
            "Loss in the setting without neighbours minus that in one that reads this neighbour alone here."
            f" {BETWEEN_SETTINGS}"
        ),
    ),
    (
        "left out",
        f"Loss in a setting that reads the others here minus that in the system's own. {BETWEEN_SETTINGS}",
    ),
    ("gate", "How much a neighbour counted, from 0.1 to 1."),
    (
        "s_t",
        (
            "What the reference LM says: how much more likely it finds the target after the neighbour, in"
            " nats. Only labelled chunks have it."
        ),
    ),
    (
        "oracle",
        "The labelled candidates of highest positive s_t. It has seen the target, so it is no system.",
    ),
    ("BM25", "What BM25 finds for the chunk alone."),
)


def site(corpus: str) -> layout.Site:
    """What is around the pages about a corpus."""
    return layout.Site(corpus, (("Systems and documents", "/", "h"), ("Help", "/help", "?")), KEYS)


def help_page(library: Library) -> str:
    """Keys, terms, settings, and where the evaluations come from."""
    settings = tag("section", tag("h2", "Settings"), layout.term_list(tuple(SETTINGS.items())))
    origins = []
    for run in library.runs.values():
        places = [
            ("directory", directory) for directory in run.index["directory"].unique(maintain_order=True)
        ]
        origins += [
            tag("h3", tag("bdi", clipped(run.name, layout.NAME))),
            layout.fact_list([("system", run.system), *places]),
        ]
    more = tag("p", "What a training step read is shown by ", tag("code", "./rpt batch RUN --step N"), ".")
    return layout.help_page(
        site(library.name), TERMS, settings, tag("section", tag("h2", "Evaluations"), *origins, more)
    )
