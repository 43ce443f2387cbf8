"""The retrieval explorer: a read-only server of pages about what trained systems retrieved, for one person on
one machine.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp

from reports.explorer import chunk_page, document_page, list_page
from reports.explorer.address import Look
from reports.explorer.library import Library
from reports.explorer.site import help_page, site
from reports.site.application import application, chunk_of


def explorer(library: Library, port: int) -> ASGIApp:
    """The application that is served on `port`."""
    pages: dict[str, Callable[[Request], str]] = {
        "/": lambda request: list_page.render(library, Look.of(request.query_params)),
        "/d/{key}": lambda request: document_page.render(
            library, request.path_params["key"], Look.of(request.query_params)
        ),
        "/d/{key}/{chunk}": lambda request: chunk_page.render(
            library, request.path_params["key"], chunk_of(request), Look.of(request.query_params)
        ),
        "/help": lambda request: help_page(library),
    }
    return application(site(library.name), pages, port)
