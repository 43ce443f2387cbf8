"""The label browser: a read-only server of pages about labels, for one person on one machine.

It answers GET and HEAD alone, and only to the names of this machine, so that no foreign page can read it under a name of its own (DNS
rebinding) or make it work. Its pages may load nothing but its own style sheet and script, and keep nothing in the browser.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_contracts.failure import Exit, Failure
from reports.browser import document_page, list_page, movers_page, query_page, search_page, shell
from reports.browser.address import Missing, Question, View, refused, whole
from reports.browser.gains import Gains
from reports.browser.shelf import Shelf

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
KEPT = "max-age=31536000, immutable"  # static files: their address changes with them


class Guard:
    """Lets through what a browser on this machine asks for itself."""

    def __init__(self, app: ASGIApp, port: int):
        self.app = app
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self.app)(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            return PlainTextResponse("One Host header is expected.\n", 400)
        if hosts[0].lower() not in self.hosts:
            return PlainTextResponse(f"This server answers to {' and '.join(sorted(self.hosts))} only.\n", 421)
        if method not in ("GET", "HEAD"):
            return PlainTextResponse("Labels can be read only: GET and HEAD.\n", 405, {"Allow": "GET, HEAD"})
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Other sites may link here, and no more.\n", 403)
        return None


def browser(shelf: Shelf, port: int, comparison: Future[dict[str, Any]] | None = None) -> ASGIApp:
    """The application that is served on `port`; `comparison` is what `movers_page.compared` gives, if there are two label sets."""
    gains = Gains(shelf)

    def page(render: Callable[[Request], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return HTMLResponse(render(request))
            except Failure as failure:
                return HTMLResponse(shell.failure_page(shelf, failure), _status(failure))

        return answer

    def gains_of(request: Request) -> Response:
        try:
            view, number = View.of(request.query_params), whole(request.query_params.get("set") or "0", "set")
            if view.c is None or number >= len(shelf.sets):
                raise refused("the address", str(request.url.query), "c names a candidate's chunk, and set one of the label sets")
            query = _chunk(request)
            document = query_page.opened(shelf, request.path_params["key"], query)
            chosen = next((one for one in document.candidates(query) if one.chunk == view.c), None)
            if chosen is None:
                raise refused("c", str(view.c), f"chunk {view.c} is no candidate of query {query}")
            return JSONResponse(gains.painted(document, query, chosen, number))
        except Failure as failure:
            said = {"error": f"{failure.what}: {failure.cause}; {failure.remedy}."}
            return JSONResponse(said, _status(failure))

    def missing(request: Request) -> str:
        raise Missing(request.url.path[:200], "there is no page at this address", "start from the list of documents")

    routes: dict[str, Callable[[Request], str]] = {
        "/": lambda request: list_page.render(shelf, View.of(request.query_params)),
        "/d/{key}": lambda request: document_page.render(shelf, request.path_params["key"], View.of(request.query_params)),
        "/d/{key}/{chunk}": lambda request: query_page.render(
            shelf, gains, request.path_params["key"], _chunk(request), View.of(request.query_params)
        ),
        "/search": lambda request: search_page.render(shelf, Question.of(request.query_params)),
        "/compare": lambda request: movers_page.render(shelf, comparison),
        "/help": lambda request: shell.help_page(shelf),
        "/{rest:path}": missing,
    }
    app = Starlette(
        routes=[
            Route("/static/{name}", _static),
            Route("/gains/{key}/{chunk}", gains_of),
            *(Route(path, page(render)) for path, render in routes.items()),
        ],
    )
    return Guard(app, port)


def _chunk(request: Request) -> int:
    return whole(request.path_params["chunk"], "chunk")


def _status(failure: Failure) -> int:
    if isinstance(failure, Missing):
        return 404
    return 400 if failure.code == Exit.USAGE else 500


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in shell.STATIC:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(shell.static(name)[0], media_type=shell.STATIC[name], headers={"Cache-Control": KEPT})
