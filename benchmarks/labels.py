"""The label browser on a million queries, in headless Chromium: how soon a page is there, and how soon the
next document.

The label set is made up: 1,000 documents of 1,000 queries with 20 candidates each. The server is a process of
its own, as for a user, whose index is there. A first paint is that of the list of documents in a browser that
has nothing of ours in its cache, from the beginning of the navigation; a switch is from the key press on a
query's page to the first paint of the next document, which neither side has seen before. Figures of paints
are 95th percentiles, those with `_median` medians.
"""

from __future__ import annotations

import os
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks._chromium import Page, chromium
from benchmarks._label_sets import make_label_set
from benchmarks._served import served
from benchmarks.result import Bar, show
from reports.labels.label_set import LabelSet, open_label_set
from reports.site.address import key_of

DOCUMENTS, CHUNKS, CANDIDATES, SHARDS = 1000, 1005, 20, 40
REPETITIONS = 40
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
KEPT_PRESS = (
    "addEventListener('keydown', event => sessionStorage.setItem('press', performance.timeOrigin +"
    " event.timeStamp), true)"
)
BARS = [
    Bar("page_first_paint_ms", 1000.0, at_most=True, wall_clock=True),
    Bar("document_switch_ms", 200.0, at_most=True, wall_clock=True),
]


def first_paint(page: Page, address: str) -> float:
    """Milliseconds."""
    page.call("Network.clearBrowserCache")
    page.open(f"{address}/")
    return page.until(PAINT)


def switch(page: Page) -> float:
    """Milliseconds from the key `n` to the first paint of the page that it leads to."""
    page.evaluate(KEPT_PRESS)
    page.press("n")
    return page.until(
        f"{PAINT} && performance.timeOrigin + {PAINT} - Number(sessionStorage.getItem('press'))"
    )


def switches(page: Page, address: str, labels: LabelSet) -> list[float]:
    """From a query of one document to the next document, for documents far apart."""
    figures = []
    for doc_id in labels.documents["doc_id"].gather_every(DOCUMENTS // REPETITIONS).head(REPETITIONS):
        page.open(f"{address}/d/{key_of(doc_id)}/{CHUNKS // 2}")
        figures.append(switch(page))
    return figures


def summary(name: str, figures: list[float]) -> dict[str, float]:
    """95th percentile and median."""
    return {
        name: float(np.percentile(figures, 95)),
        f"{name.removesuffix('_ms')}_median_ms": float(np.median(figures)),
    }


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def answered(address: str) -> None:
    """Ask for a page and read it."""
    with urllib.request.urlopen(address) as answer:
        answer.read()


def main() -> None:
    """Measure and show."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        labels, index = (
            make_label_set(Path(folder), DOCUMENTS, CHUNKS, CANDIDATES, SHARDS),
            Path(folder) / "index",
        )
        figures = {
            "index_s": seconds(lambda: open_label_set(labels, index)),
            "open_s": seconds(lambda: open_label_set(labels, index)),
        }
        with served([labels], index) as address, chromium() as page:
            page.look(1280, 800)
            page.open(f"{address}/help")
            figures |= summary(
                "page_first_paint_ms", [first_paint(page, address) for _ in range(REPETITIONS)]
            )
            figures |= summary("document_switch_ms", switches(page, address, open_label_set(labels, index)))
            figures["search_whole_set_s"] = seconds(lambda: answered(f"{address}/search?q=nowhere"))
    show("labels", figures, BARS, load)


if __name__ == "__main__":
    main()
