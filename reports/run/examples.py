"""The part of the page to read: chunks that a system predicts much better or worse than Transformer-XL (the
paper's Figure 7).
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.html.formats import count, finite, number
from reports.html.markup import Html, clipped, tag
from reports.html.parts import NAME, empty, section
from reports.labels.label_sections import EXAMPLES_BYTES, chunk_text
from reports.metrics.gain_examples import GainExample, ReadChunk

NEIGHBOURS = 8


def _neighbour(neighbour: ReadChunk, place: int) -> Html:
    score = neighbour.score
    helped = score is not None and finite(score) and score > 0
    verdict = "not scored" if score is None else f"s_t {number(score, 3, signed=True)} nats a token"
    badge = tag("span", verdict, class_="good" if helped else "bad") if score is not None else verdict
    words = f"{place}. chunk {count(neighbour.chunk)} and the one after it · gate {number(neighbour.gate)} · "
    return tag("li", tag("p", words, badge, class_="about"), chunk_text(neighbour.text))


def _example(example: GainExample) -> Html:
    gain = example.gain
    better = gain is not None and finite(gain) and gain > 0
    badge = tag("span", f"{number(gain, 3, signed=True)} nats a token", class_="good" if better else "bad")
    summary = tag(
        "summary",
        badge,
        " · ",
        tag("bdi", clipped(example.run, NAME)),
        f" · chunk {count(example.query_chunk)}",
    )
    texts = (
        ("Query: what the retriever sees", example.query),
        ("Target: what is to be predicted", example.target),
    )
    sides = tag(
        "div", *(tag("div", tag("h3", name), chunk_text(text)) for name, text in texts), class_="pair"
    )
    shown = [
        _neighbour(neighbour, place) for place, neighbour in enumerate(example.neighbours[:NEIGHBOURS], 1)
    ]
    document = tag("p", "document ", tag("code", clipped(example.doc_id, NAME)), class_="about")
    retrieved = [tag("h3", "Retrieved"), tag("ol", *shown, class_="candidates")]
    return tag("details", summary, document, sides, *retrieved, class_="example")


def gain_examples(rows: Sequence[GainExample]) -> Html:
    """Every example that fits, the largest gain and the largest loss of each run among them."""
    heading = "Examples of what was retrieved"
    if not rows:
        return section(
            "examples",
            heading,
            empty("No system retrieved anything that could be compared with Transformer-XL."),
        )
    words = (
        "The paper's Figure 7: for each run the chunks that it predicts most above and most below"
        " Transformer-XL, at most one a document, with what it retrieved. These are extremes: many gain for"
        " reasons that have nothing to do with what was retrieved. Does the text explain it?"
    )
    shown: list[Html] = []
    left = EXAMPLES_BYTES
    for row in rows:
        example = _example(row)
        bulk = len(example.encode())
        if bulk <= left:
            shown.append(example)
            left -= bulk
    more = (
        [empty(f"{len(rows) - len(shown):,} more examples are not shown.")] if len(shown) < len(rows) else []
    )
    return section("examples", heading, empty(words), *shown, *more)
