"""A server on loopback that answers as huggingface.co does."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One repository `org/lm` at one commit; `asked` are the files that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        tree, file = f"/api/models/org/lm/tree/{COMMIT}", f"/org/lm/resolve/{COMMIT}/"
        if path == tree:
            rows = [
                {"type": "file", "path": name, "size": len(body), "oid": _etag(body)}
                for name, body in self.server.files.items()
            ]
            self._send(json.dumps(rows).encode(), with_body)
        elif path.startswith(file) and (name := path.removeprefix(file)) in self.server.files:
            self.server.asked.append(name)
            self._send(self.server.files[name], with_body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, body: bytes, with_body: bool) -> None:
        self.send_response(200)
        headers = {
            "Content-Length": len(body),
            "ETag": f'"{_etag(body)}"',
            "X-Repo-Commit": COMMIT,
            "Content-Type": "application/json",
        }
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `asked`."""


def _etag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """A hub whose repository has these files."""
    server = Hub()
    server.files = dict(files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
