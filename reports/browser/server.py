"""The label browser: a read-only server of pages about labels, for one person on one machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from data_contracts.failure import Failure
from reports.browser import document_page, help_page, list_page, movers_page, query_page, search_page
from reports.browser.gains import Gains
from reports.browser.library import LabelLibrary
from reports.site.address import Question, View, refused, whole
from reports.site.application import application, chunk_of, status_of


def browser(
    library: LabelLibrary, port: int, comparison: Future[movers_page.Compared] | None = None
) -> ASGIApp:
    """The application that is served on `port`; `comparison` is what `movers_page.compared` gives, if there
    are two label sets.
    """
    gains = Gains(library)

    def gains_of(request: Request) -> Response:
        try:
            view, number = View.of(request.query_params), whole(request.query_params.get("set") or "0", "set")
            if view.c is None or number >= len(library.sets):
                raise refused(
                    "the address",
                    str(request.url.query),
                    "c names a candidate's chunk, and set one of the label sets",
                )
            query = chunk_of(request)
            document = query_page.opened(library, request.path_params["key"], query)
            chosen = next((one for one in document.candidates(query) if one.chunk == view.c), None)
            if chosen is None:
                raise refused("c", str(view.c), f"chunk {view.c} is no candidate of query {query}")
            return JSONResponse(asdict(gains.painted(document, query, chosen, number)))
        except Failure as failure:
            said = {"error": f"{failure.what}: {failure.cause}; {failure.remedy}."}
            return JSONResponse(said, status_of(failure))

    pages: dict[str, Callable[[Request], str]] = {
        "/": lambda request: list_page.render(library, View.of(request.query_params)),
        "/d/{key}": lambda request: document_page.render(
            library, request.path_params["key"], View.of(request.query_params)
        ),
        "/d/{key}/{chunk}": lambda request: query_page.render(
            library, gains, request.path_params["key"], chunk_of(request), View.of(request.query_params)
        ),
        "/search": lambda request: search_page.render(library, Question.of(request.query_params)),
        "/compare": lambda request: movers_page.render(library, comparison),
        "/help": lambda request: help_page.render(library),
    }
    return application(library.site, pages, port, [Route("/gains/{key}/{chunk}", gains_of)])
