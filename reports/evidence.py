"""The part of the page that shows the labels: the gates, Figure 5 of the paper, positives by rank, and examples to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.charts import Line, bar_chart, figure, line_chart
from reports.formats import count, finite, interval, number, percent
from reports.markup import Html, clipped, table, tag
from reports.perplexity import FEWEST_DOCUMENTS
from reports.results import NAME, empty, in_split_order, section

EXAMPLES = 40
CANDIDATES = 24
CHUNK_CHARACTERS = 1_000
EXAMPLES_BYTES = 400_000


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and values side by side."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def _figure_5(best_by_k: Sequence[dict[str, Any]]) -> Html:
    best = Line("best of k", [(p["k"], p["mean"]) for p in best_by_k], 0, [(p["k"], p["low"], p["high"]) for p in best_by_k])
    random = Line("random", [(p["k"], p["random"]) for p in best_by_k], -1)
    compared = any(finite(p["random"]) for p in best_by_k)
    caption = (
        "The paper's Figure 5 on the test split: mean score of the best among the first k BM25 candidates, with its 95 % interval. The "
        "score is what a candidate adds to the log-probability of the next chunk, compared with the nearest text. A maximum over k rises "
        "even for pure noise: "
    )
    meaning = (
        "what counts is the distance from the dashed line, the best of k random eligible chunks."
        if compared
        else "no random chunks were scored here to compare with, so the rise alone proves nothing."
    )
    rows = [[count(p["k"]), *(number(p[key], 3) for key in ("mean", "low", "high", "random"))] for p in best_by_k]
    lines = [best, random] if compared else [best]
    title, unit = "Best score by number of candidates", "nats a target token"

    def draw(width: int) -> Html:
        return line_chart(lines, title=title, x_label="candidates k", y_label=unit, width=width, zero=True)

    return figure(draw, [caption, meaning], ["k", "mean of best", "low", "high", "random"], rows, width=550)


def _by_rank(ranks: Sequence[dict[str, Any]]) -> Html:
    bars = [(count(rank["rank"]), 100 * rank["rate"] if rank["rate"] is not None else None) for rank in ranks]
    caption = (
        "Share of pairs with a positive label at each BM25 rank. Falling bars mean that word overlap already finds what helps; level bars "
        "mean that the labels know something BM25 does not, or nothing at all."
    )
    rows = [[count(rank["rank"]), percent(rank["rate"]), count(rank["pairs"])] for rank in ranks]

    def draw(width: int) -> Html:
        return bar_chart(bars, title="Positive labels by rank", x_label="BM25 rank", y_label="% positive", width=width)

    return figure(draw, [caption], ["rank", "positive", "pairs"], rows, width=550)


def _limits(gate: dict[str, Any]) -> str:
    least, most = gate["least"], gate["most"]
    return f"at least {number(least)}" if most is None else f"{number(least)} to {number(most)}"


def _gates(measured: dict[str, Any]) -> list[Html]:
    """Whether the labels are fit to train on, figure by figure."""
    gates = measured["gates"]
    if not gates:
        return [empty("The label gates were not measured.")]
    rows = []
    for gate in gates:
        passed = tag("span", "passed" if gate["passed"] else "failed", class_="good" if gate["passed"] else "bad")
        figures = [number(gate["value"], 3), interval(gate["low"], gate["high"], 3), _limits(gate)]
        rows.append([clipped(gate["name"], NAME), clipped(gate["unit"], NAME), *figures, passed])
    documents = measured["documents"]
    few = (
        f"; fewer than {FEWEST_DOCUMENTS}, so the intervals are not meaningful"
        if finite(documents) and documents < FEWEST_DOCUMENTS
        else ""
    )
    where = (
        f"Label gates, measured on {count(documents)} documents of the {clipped(measured['split'], NAME)} split{few}; the first two on "
        f"{count(measured['queries'])} random queries. Labels that fail one may still train a model, but prove nothing."
    )
    return [table(["gate", "unit", "figure", "95 % interval", "limits", "verdict"], rows, numeric_from=2), tag("p", where, class_="note")]


def labels(supervision: dict[str, Any]) -> Html:
    """How many labels there are, from which scorer, and whether they mean anything."""
    rates = [(f"positive, {split}", percent(rate)) for split, rate in in_split_order(supervision["positive_rate"])]
    scorer = [(f"scorer: {clipped(name, NAME)}", clipped(str(value), NAME)) for name, value in supervision["scorer"].items()]
    known = facts([("labelled queries", count(supervision["queries"])), ("scored pairs", count(supervision["pairs"])), *rates, *scorer])
    figures = [draw(rows) for draw, rows in ((_figure_5, supervision["best_by_k"]), (_by_rank, supervision["positive_by_rank"])) if rows]
    if not figures:
        figures = [empty("No labelled pair to draw.")]
    return section("labels", "Labels", known, *_gates(supervision["gates"]), tag("div", *figures, class_="pair"))


def _chunk(text: str) -> Html:
    """Text of a chunk, exactly; what is over the limit is counted."""
    over = len(text) - CHUNK_CHARACTERS
    rest = [tag("p", f"{over:,} more characters are not shown.", class_="note")] if over > 0 else []
    return tag("div", tag("div", text[:CHUNK_CHARACTERS], class_="chunk", dir="auto"), *rest)


def _candidate(candidate: dict[str, Any]) -> Html:
    score = candidate["target_score"]
    helped = score is not None and finite(score) and score > 0
    badge = tag("span", f"{number(score, 2, signed=True)} nats", class_="good" if helped else "bad")
    rank = count(candidate["rank"] + 1 if candidate["rank"] is not None else None)
    words = f" chunk {count(candidate['chunk'])} · BM25 rank {rank} · BM25 {number(candidate['bm25'])}"
    return tag("li", tag("p", badge, words, class_="about"), _chunk(candidate["text"]))


def _example(example: dict[str, Any], opened: bool) -> Html:
    scores = [candidate["target_score"] for candidate in example["candidates"] if finite(candidate["target_score"])]
    where = tag("bdi", clipped(example["source"], NAME)), f" · chunk {count(example['query_chunk'])}"
    summary = tag("summary", tag("b", f"{number(max(scores, default=None), 2, signed=True)} nats"), " best candidate · ", *where)
    texts = (("Query: what the retriever sees", example["query"]), ("Target: what is to be predicted", example["target"]))
    sides = tag("div", *(tag("div", tag("h3", name), _chunk(text)) for name, text in texts), class_="pair")
    shown = [_candidate(candidate) for candidate in example["candidates"][:CANDIDATES]]
    more = len(example["candidates"]) - len(shown)
    rest = [empty(f"{more:,} more candidates are not shown.")] if more else []
    document = tag("p", "document ", tag("code", clipped(example["doc_id"], NAME)), class_="about")
    candidates = [tag("h3", "Candidates"), tag("ol", *shown, class_="candidates"), *rest]
    return tag("details", summary, document, sides, *candidates, class_="example", open="" if opened else None)


def examples(rows: Sequence[dict[str, Any]]) -> Html:
    """Queries with their candidates, to judge labels by eye; the first is open."""
    if not rows:
        return section("examples", "Examples", empty("No example was chosen."))
    words = (
        "A positive score (✓) says that this candidate helped the reference language model predict the target. Read a few: a label is only "
        "as good as the help you can see in the text. Characters that cannot be seen are written out, like ",
        tag("mark", r"\u202e"),
        ".",
    )
    shown: list[Html] = []
    left = EXAMPLES_BYTES
    for row in rows[:EXAMPLES]:
        example = _example(row, opened=not shown)
        bulk = len(example.encode())
        if bulk <= left:
            shown.append(example)
            left -= bulk
    rest = [empty(f"{len(rows) - len(shown):,} more examples are not shown.")] if len(shown) < len(rows) else []
    return section("examples", "Examples: best and worst labels", tag("p", *words, class_="note"), *shown, *rest)
