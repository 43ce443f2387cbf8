"""What tests of the label browser and of the retrieval explorer share: clients, and what holds of every page
and every answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal
from starlette.testclient import TestClient

from benchmarks import _chromium
from reports.browser.library import LabelLibrary
from reports.browser.server import browser
from reports.explorer.library import Library
from reports.explorer.server import explorer
from reports.labels.label_set import LabelSet
from reports.site.application import POLICY

PORT = 8000
ATTRIBUTES = {
    *(
        "action",
        "aria-current",
        "aria-hidden",
        "aria-label",
        "aria-sort",
        "charset",
        "class",
        "content",
        "d",
        "data-key",
        "data-refresh",
        "data-row",
    ),
    *(
        "defer",
        "dir",
        "height",
        "href",
        "id",
        "lang",
        "max",
        "maxlength",
        "method",
        "min",
        "name",
        "placeholder",
        "preserveaspectratio",
    ),
    *(
        "rel",
        "role",
        "scope",
        "selected",
        "src",
        "step",
        "tabindex",
        "title",
        "type",
        "value",
        "viewbox",
        "width",
        "x",
        "y",
    ),
    *("cx", "cy", "points", "r", "text-anchor", "x1", "x2", "y1", "y2"),
}


def _client_of(app: Any) -> TestClient:
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}")


def browser_client(*sets: LabelSet, scorers: tuple = (), comparison: Future | None = None) -> TestClient:
    """A client of the browser of some label sets."""
    names = [f"version {number}" for number in range(len(sets))]
    return _client_of(browser(LabelLibrary(sets, names, scorers or (None,) * len(sets)), PORT, comparison))


def explorer_client(library: Library) -> TestClient:
    """A client of the explorer of a library."""
    return _client_of(explorer(library, PORT))


@contextmanager
def one_thread(client: TestClient) -> Iterator[TestClient]:
    """The client with one thread and event loop for all its requests: starting them for each takes longer
    than most pages.
    """
    with start_blocking_portal(**client.async_backend) as client.portal:
        yield client
    client.portal = None


def check_page(page: Any) -> None:
    """A parsed page is whole, with nothing in it that acts but our script, and no address that leads away."""
    assert not page.unbalanced
    assert not page.open
    for name, attributes in page.elements:
        assert set(attributes) <= ATTRIBUTES
        assert name not in {
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "style",
            "marquee",
            "plaintext",
            "template",
        }
        for address in (attributes.get("href"), attributes.get("src"), attributes.get("action")):
            assert address is None or re.match(r"[/#?]|data:,$", address)
            assert address is None or not address.startswith("//")
    assert [attributes.get("src", "")[:17] for name, attributes in page.elements if name == "script"] == [
        "/static/script.js"
    ]


def check_headers(answer: Any) -> None:
    """An answer lets nothing in from elsewhere, and leaves nothing in the browser."""
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]


def where(page: _chromium.Page) -> str:
    """The path and query that a tab is at."""
    return page.evaluate("location.pathname + location.search")


def keyed(page, key):
    """Where a key leads."""
    return next(
        (
            attributes["href"]
            for name, attributes in page.elements
            if name == "a" and attributes.get("data-key") == key
        ),
        None,
    )


def table(page, css_class):
    """Texts of the cells of a table's body, row by row."""
    html_rows, inside = [], False
    for (name, attributes), text in zip(page.elements, page.texts, strict=True):
        inside = css_class in (attributes.get("class") or "").split() if name == "table" else inside
        if inside and name == "tr":
            html_rows.append([])
        if inside and name in ("td", "th"):
            html_rows[-1].append(text)
    return html_rows[1:]
