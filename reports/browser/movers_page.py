"""Two versions of labels compared: what changed overall, and the queries and candidates that changed most."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWorking
from typing import Any

from reports.browser.shelf import Shelf
from reports.html.formats import count, number, percent
from reports.html.markup import Html, clipped, join, table, tag
from reports.labels.diff import compare
from reports.labels.label_set import LabelSet
from reports.site import drawing, shell
from reports.site.address import key_of, link

PATIENCE = 1.5  # seconds that a page waits for the comparison
EXCERPT = 160
FLIPS = ("to_positive", "to_negative")
RANKS = ("spearman", "kendall")


def compared(a: LabelSet, b: LabelSet, movers: int) -> dict[str, Any]:
    """What `reports.labels.diff.compare` finds, with the `target` text of every query among the movers; raises like that."""
    found = compare(a, b, movers)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in (*found["movers"], *found["best_movers"]):
        rows.setdefault(row["doc_id"], []).append(row)
    for doc_id, moved in rows.items():
        texts = a.chunks(doc_id)["text"]
        for row in moved:
            row["target"] = texts[row["query_chunk"] + 1]
    return found


def render(shelf: Shelf, comparison: Future[dict[str, Any]] | None) -> str:
    """The page, or one that says why there is none (yet). `comparison` is what `compared` gives.

    Raises:
        Failure: what the comparison raised.
    """
    title = tag("h1", "Comparison")
    if comparison is None:
        how = tag("p", "Start with two versions: ", tag("code", "./rpt labels browse A B"), ", each a directory of labels or REV:CORPUS.")
        return shell.page(shelf.site, "Comparison", title, tag("p", "There is one version of the labels here."), how, kind="compare")
    try:
        found = comparison.result(PATIENCE)
    except StillWorking:
        wait = tag("p", "The two versions are being compared; this page asks again by itself. ", tag("a", "Ask now", href="/compare"))
        return shell.page(shelf.site, "Comparison", tag("meta", http_equiv="refresh", content="2"), title, wait, kind="compare")
    names = drawing.dotted(
        [join([f"{side}: ", tag("bdi", clipped(name, shell.NAME))]) for side, name in zip("AB", shelf.names, strict=True)]
    )
    pairs = _moved("Candidates whose s_t changed most", found["movers"])
    queries = _moved("Queries whose best s_t changed most", found["best_movers"])
    return shell.page(
        shelf.site,
        "Comparison",
        title,
        tag("p", names, class_="about"),
        _figures(found),
        tag("div", queries, pairs, class_="columns"),
        kind="compare",
    )


def _figures(found: dict[str, Any]) -> Html:
    """What changed, a column a split."""
    rows = [
        ["queries in both", *_each(found, lambda one: count(one["queries"]["common"]))],
        ["candidates in both", *_each(found, lambda one: count(one["pairs"]["common"]))],
        [
            "candidates only in A, only in B",
            *_each(found, lambda one: " · ".join(count(one["pairs"][name]) for name in ("only_a", "only_b"))),
        ],
        ["positive rate, A → B", *_each(found, lambda one: " → ".join(percent(one["positive_rate"][side]) for side in "ab"))],
        ["flipped to positive, to negative", *_each(found, lambda one: " · ".join(count(one["flips"][to]) for to in FLIPS))],
        ["the same as shares of all", *_each(found, lambda one: " · ".join(percent(one["flip_share"][to]) for to in FLIPS))],
        ["change of s_t, mean and mean size, nats", *_each(found, lambda one: _change(one["score_change"]))],
        [
            "order of candidates, Spearman · Kendall",
            *_each(found, lambda one: " · ".join(number(one["rank_correlation"][kind], 3) for kind in RANKS)),
        ],
        ["same best candidate", *_each(found, lambda one: percent(one["same_best"]))],
        ["change of the best s_t, mean and mean size, nats", *_each(found, lambda one: _change(one["best_change"]))],
    ]
    return table(["", *found["splits"]], rows)


def _each(found: dict[str, Any], figure: Callable[[dict[str, Any]], str]) -> list[str]:
    return [figure(one) for one in found["splits"].values()]


def _change(change: dict[str, float | None]) -> str:
    return f"{drawing.score(change['mean'])} · {number(change['mean_absolute'])}"


def _moved(words: str, rows: list[dict[str, Any]]) -> Html:
    listed = [tag("li", _mover(row)) for row in rows]
    return tag("section", tag("h2", words), tag("ol", *listed, class_="hits") if listed else tag("p", "None did.", class_="note"))


def _mover(row: dict[str, Any]) -> Html:
    before, after = row["a"]["target_score"], row["b"]["target_score"]
    flipped = [tag("span", "flipped", class_="flipped")] if (before > 0) != (after > 0) else []
    figures = tag("b", f"{drawing.score(before)} → {drawing.score(after)}", class_=f"score {drawing.step(after)}")
    chosen = row.get("candidate_chunk", row["b"].get("candidate_chunk"))
    about = [
        tag("bdi", clipped(row["source"] or row["doc_id"], shell.NAME)),
        row["split"],
        f"chunk {row['query_chunk']}",
        f"candidate {chosen}",
    ]
    excerpt = tag("span", clipped(" ".join(row["target"].split()), EXCERPT), class_="excerpt", dir="auto")
    address = link(f"/d/{key_of(row['doc_id'])}/{row['query_chunk']}", c=chosen)
    return tag("a", join([figures, *flipped, tag("span", drawing.dotted(about), class_="about"), excerpt]), href=address, data_row="")
