"""The label browser: a read-only server of pages about labels, for one person on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from typing import IO

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from data_contracts.failure import Failure
from reports.browser import document_page, help_page, list_page, movers_page, query_page, search_page
from reports.browser.download import TYPES, download
from reports.browser.gains import Gains
from reports.browser.library import LabelLibrary
from reports.site.address import Question, View, one_of, refused, whole
from reports.site.application import application, chunk_of, status_of
from reports.site.layout import failure_page

BLOCK = 2**20


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

    def download_of(request: Request) -> Response:
        try:
            kind = one_of(request.query_params, "format", tuple(TYPES)) or "csv"
            file = download(library, Question.of(request.query_params), kind)
        except Failure as failure:
            return HTMLResponse(failure_page(library.site, failure), status_of(failure))
        named = {"Content-Disposition": f'attachment; filename="labels.{kind}"'}
        return StreamingResponse(_blocks(file), media_type=TYPES[kind], headers=named)

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
    others = [Route("/gains/{key}/{chunk}", gains_of), Route("/download", download_of)]
    return application(library.site, pages, port, others)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, BLOCK), b"")
