"""The pages of both servers in a real browser fit its window, narrow or wide, in both schemes of colours, and
with everything open.
"""

from __future__ import annotations

import pytest

from tests.hostile import check_each

pytestmark = pytest.mark.slow

LOOKS = [(width, dark) for width in (390, 1280) for dark in (False, True)]
PAGES = {
    "browser": (
        "/",
        "/?find=x",
        "/d/{key}",
        "/d/{key}/41",
        "/d/{key}/41?full=1&by=bm25",
        "/d/{key}/0",
        "/search",
        "/search?q=the",
        "/search?order=worst",
        "/help",
        "/none",
    ),
    "explorer": (
        "/",
        "/?find=x",
        "/d/{key}",
        "/d/{key}?colour=loss",
        "/d/{key}/41",
        "/d/{key}/41?full=1&by=bm25",
        "/help",
        "/none",
    ),
}


@pytest.fixture
def served(request):
    """The address of a server, and a document that it shows."""
    if request.param == "browser":
        return (
            request.getfixturevalue("browsed_address"),
            request.getfixturevalue("browsed_set").documents["doc_id"][1],
        )
    return (
        request.getfixturevalue("explored_address"),
        request.getfixturevalue("explored_library").documents["key"][1],
    )


@pytest.mark.parametrize(("served", "paths"), PAGES.items(), indirect=["served"], ids=list(PAGES))
def test_pages_fit_the_window(page, served, paths):
    address, key = served

    def check(case):
        (width, dark), path = case
        page.look(width, 800, dark=dark)
        page.open(address + path.format(key=key))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    check_each([(look, path) for look in LOOKS for path in paths], check)
    assert [problem for problem in page.problems if "404" not in problem] == []
