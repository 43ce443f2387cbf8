"""What a browser's server refuses, and the application that answers with pages.

It answers GET and HEAD alone, and only to the names of this machine, so that no foreign page can read it
under a name of its own (DNS rebinding) or make it work. Its pages may load nothing but its own style sheet
and script, and keep nothing in the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_contracts.failure import Exit, Failure
from reports.site import layout
from reports.site.address import Missing, whole

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


class LoopbackOnly:
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
            return PlainTextResponse(
                f"This server answers to {' and '.join(sorted(self.hosts))} only.\n", 421
            )
        if method not in ("GET", "HEAD"):
            return PlainTextResponse(
                "These pages can be read only: GET and HEAD.\n", 405, {"Allow": "GET, HEAD"}
            )
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Other sites may link here, and no more.\n", 403)
        return None


def application(
    site: layout.Site, pages: Mapping[str, Callable[[Request], str]], port: int, others: Sequence[Route] = ()
) -> ASGIApp:
    """What is served on `port`: `pages` by path, and `others`, which are not pages; a Failure becomes a page
    that explains it.
    """

    def page(render: Callable[[Request], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return HTMLResponse(render(request))
            except Failure as failure:
                return HTMLResponse(layout.failure_page(site, failure), status_of(failure))

        return answer

    def missing(request: Request) -> str:
        raise Missing(
            request.url.path[:200], "there is no page at this address", "start from the list of documents"
        )

    routes = [Route(path, page(render)) for path, render in {**pages, "/{rest:path}": missing}.items()]
    return LoopbackOnly(Starlette(routes=[Route("/static/{name}", _static), *others, *routes]), port)


def closed(site: layout.Site, port: int, failure: Failure) -> ASGIApp:
    """What is served on `port` while what the pages show is not there: every address explains it."""

    def answer(request: Request) -> Response:
        return HTMLResponse(layout.failure_page(site, failure), 503)

    return LoopbackOnly(
        Starlette(routes=[Route("/static/{name}", _static), Route("/{rest:path}", answer)]), port
    )


def chunk_of(request: Request) -> int:
    """The chunk in an address; raises like `whole`."""
    return whole(request.path_params["chunk"], "chunk")


def status_of(failure: Failure) -> int:
    """The HTTP status for a failure."""
    if isinstance(failure, Missing):
        return 404
    return 400 if failure.code == Exit.USAGE else 500


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in layout.STATIC:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(layout.static(name)[0], media_type=layout.STATIC[name], headers={"Cache-Control": KEPT})
