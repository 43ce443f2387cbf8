"""A Google Cloud Storage server on loopback: the emulator behind a gate that heeds `ifGenerationMatch=0`, as
the service does and the emulator does not, and that fails requests on order.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

BUCKET = "bucket"
REFUSALS = {"403": 403, "429": 429, "503": 503}
# (method, name of the object, number of the request) -> None: served; 403, 429, 503: refused; lost: carried
# out, and the connection closed without an answer; hang: no answer until the server ends.
Plan = Callable[[str, str, int], str | None]


class Server(ThreadingHTTPServer):
    """`seen` counts methods, faults and 412; `plan` may be changed at any time."""

    daemon_threads = True

    def __init__(self):
        self.storage = Storage(use_memory_fs=True)
        create_bucket(BUCKET, self.storage)
        super().__init__(("127.0.0.1", 0), partial(_Handler, self.storage))
        self.plan: Plan = lambda method, name, number: None
        self.seen, self.requests = Counter[str](), 0
        self.one_at_a_time, self.ended = threading.Lock(), threading.Event()

    @property
    def url(self) -> str:
        """What STORAGE_EMULATOR_HOST is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def objects(self) -> dict[str, bytes]:
        """Name -> bytes of all that the bucket holds."""
        return {name: self.storage.get_file(BUCKET, name) for name in self.storage.objects.get(BUCKET, {})}


class _Handler(RequestHandler):
    server: Server

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = _object_name(self.path, body)
        with self.server.one_at_a_time:
            self.server.requests += 1
            fault = self.server.plan(method, name, self.server.requests)
            self.server.seen.update(filter(None, (method, fault)))
            refused = REFUSALS.get(fault or "")
            answer = self._answer(refused) if refused else b""
            if fault in (None, "lost"):
                answer = self._carried_out(method, name, body)
        if fault == "hang":
            self.server.ended.wait()
        elif fault != "lost":
            self.wfile.write(answer)
        self.close_connection = True

    def _carried_out(self, method: str, name: str, body: bytes) -> bytes:
        """Do what was asked for; the answer, not sent yet."""
        if "ifGenerationMatch=0" in self.path and name in self.storage.objects.get(BUCKET, {}):
            self.server.seen["412"] += 1
            return self._answer(412)
        wire, self.wfile, self.rfile = self.wfile, io.BytesIO(), io.BytesIO(body)
        getattr(super(), f"do_{method}")()
        answer, self.wfile = self.wfile.getvalue(), wire
        return answer

    def _answer(self, status: int) -> bytes:
        body = json.dumps({"error": {"code": status, "message": "as the test wants it"}})
        return f"HTTP/1.0 {status} no\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    do_GET = partialmethod(_serve, "GET")
    do_POST = partialmethod(_serve, "POST")
    do_PUT = partialmethod(_serve, "PUT")
    do_DELETE = partialmethod(_serve, "DELETE")
    do_PATCH = partialmethod(_serve, "PATCH")


def _object_name(path: str, body: bytes) -> str:
    """The object that a request is about; for a listing, its prefix."""
    address, query = urlsplit(path), parse_qs(urlsplit(path).query)
    if "/o/" in address.path:
        return unquote(address.path.split("/o/", 1)[1])
    said = re.search(rb'"name": "([^"]+)"', body[:2000])
    return (query.get("name") or query.get("prefix") or [said[1].decode() if said else ""])[0]


@contextlib.contextmanager
def object_store() -> Iterator[Server]:
    """A server with one empty bucket, gs://bucket, to whom STORAGE_EMULATOR_HOST has this address."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
