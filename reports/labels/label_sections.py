"""What pages show of labels: the gates, the identity of the scorer, and examples to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.html.formats import count, finite, interval, number, percent
from reports.html.markup import Html, clipped, table, tag
from reports.html.parts import NAME, empty, in_split_order, section
from reports.labels.report import LabelExample, LabelSection, ShownCandidate
from reports.metrics.gates import GateFigures, Gates
from reports.metrics.resampling import FEWEST_DOCUMENTS

CLASSES = {"passed": "good", "cannot tell": "open", "failed": "bad"}
EXAMPLES = 40
CANDIDATES = 24
CHUNK_CHARACTERS = 1_000
EXAMPLES_BYTES = 400_000


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and values side by side."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts"
    )


def _limits(gate: GateFigures) -> str:
    least, most = gate.least, gate.most
    return f"at least {number(least)}" if most is None else f"{number(least)} to {number(most)}"


def in_bytes(measured: Gates) -> str:
    """Words on the size of a pipeline token of what the gates were measured on; none if that is not known."""
    size = measured.bytes_a_token
    return f", which has {number(size)} bytes of text on average" if finite(size) else ""


def gates(measured: Gates) -> list[Html]:
    """Whether the labels are fit to train on, figure by figure."""
    gates = measured.gates
    if not gates:
        return [empty("The label gates were not measured.")]
    rows = []
    for gate in gates:
        verdict = tag("span", clipped(gate.verdict, NAME), class_=CLASSES.get(gate.verdict, "bad"))
        figures = [number(gate.value, 3), interval(gate.low, gate.high, 3), _limits(gate)]
        # the verdict and its figure are what a phone shows without scrolling
        unit = clipped(gate.unit, NAME)
        rows.append([clipped(gate.name, NAME), verdict, *figures, unit, number(gate.a_byte, 4)])
    documents = measured.documents
    few = (
        f"; fewer than {FEWEST_DOCUMENTS}, so the intervals are not meaningful"
        if finite(documents) and documents < FEWEST_DOCUMENTS
        else ""
    )
    where = (
        f"Label gates, measured on {count(documents)} documents of the {clipped(measured.split, NAME)}"
        f" split{few}; the first two on {count(measured.queries)} random queries. Labels that fail one may"
        " still train a model, but prove nothing."
    )
    head = ["gate", "verdict", "figure", "95 % interval", "limits", "unit", "nats a byte"]
    return [table(head, rows, numeric_from=2), tag("p", where, class_="note")]


def labels(supervision: LabelSection) -> Html:
    """How many labels there are, from which scorer, whether they mean anything, and where more is said of
    them.
    """
    rates = [
        (f"positive, {split}", percent(rate)) for split, rate in in_split_order(supervision.positive_rate)
    ]
    known = facts(
        [("labelled queries", count(supervision.queries)), ("scored pairs", count(supervision.pairs)), *rates]
    )
    link = tag("a", "The page of the labels", href="../label_report/index.html")
    words = tag(
        "p", link, ": the paper's Figure 5, what helps and where it lies, copies, cost, and examples to read."
    )
    return section("labels", "Labels", words, known, *gates(supervision.gates), scorer(supervision.scorer))


def scorer(identity: Mapping[str, object]) -> Html:
    """All that decides a score."""
    return facts(
        [(f"scorer: {clipped(name, NAME)}", clipped(str(value), NAME)) for name, value in identity.items()]
    )


def chunk_text(text: str) -> Html:
    """Text of a chunk, exactly; what is over the limit is counted."""
    over = len(text) - CHUNK_CHARACTERS
    rest = [tag("p", f"{over:,} more characters are not shown.", class_="note")] if over > 0 else []
    return tag("div", tag("div", text[:CHUNK_CHARACTERS], class_="chunk", dir="auto"), *rest)


def _candidate(candidate: ShownCandidate) -> Html:
    score = candidate.score
    helped = score is not None and finite(score) and score > 0
    badge = tag("span", f"{number(score, 3, signed=True)} nats a token", class_="good" if helped else "bad")
    rank = count(candidate.rank + 1 if candidate.rank is not None else None)
    words = f" chunk {count(candidate.chunk)} · BM25 rank {rank} · BM25 {number(candidate.bm25)}"
    copied = candidate.copied
    copy = f" · has {percent(copied)} of the target's 8-grams" if copied is None or copied > 0 else ""
    return tag("li", tag("p", badge, words, copy, class_="about"), chunk_text(candidate.text))


def _example(example: LabelExample, opened: bool) -> Html:
    score, rank_0 = (
        (example.candidates[0].score, example.candidates[0].rank) if example.candidates else (None, None)
    )
    rank = count(rank_0 + 1 if rank_0 is not None else None)
    where = (
        tag("bdi", clipped(example.source, NAME)),
        f" · chunk {count(example.query_chunk)} · {clipped(example.split, NAME)}",
    )
    summary = tag(
        "summary",
        tag("b", f"{number(score, 3, signed=True)} nats a token"),
        f" · BM25 rank {rank} · ",
        *where,
    )
    texts = (
        ("Query: what the retriever sees", example.query),
        ("Target: what is to be predicted", example.target),
    )
    sides = tag(
        "div", *(tag("div", tag("h3", name), chunk_text(text)) for name, text in texts), class_="pair"
    )
    shown = [_candidate(candidate) for candidate in example.candidates[:CANDIDATES]]
    more = len(example.candidates) - len(shown)
    rest = [empty(f"{more:,} more candidates are not shown.")] if more else []
    document = tag("p", "document ", tag("code", clipped(example.doc_id, NAME)), class_="about")
    candidates = [tag("h3", "Candidates"), tag("ol", *shown, class_="candidates"), *rest]
    return tag(
        "details", summary, document, sides, *candidates, class_="example", open="" if opened else None
    )


def examples(rows: Sequence[LabelExample], *, opened: bool = False) -> list[Html]:
    """Queries with their candidates, to judge labels by eye, the one that an example is about first; `opened`
    shows the first whole.
    """
    if not rows:
        return [empty("There is none.")]
    shown: list[Html] = []
    left = EXAMPLES_BYTES
    for row in rows[:EXAMPLES]:
        example = _example(row, opened=opened and not shown)
        bulk = len(example.encode())
        if bulk <= left:
            shown.append(example)
            left -= bulk
    return [
        *shown,
        *(
            [empty(f"{len(rows) - len(shown):,} more examples are not shown.")]
            if len(shown) < len(rows)
            else []
        ),
    ]
