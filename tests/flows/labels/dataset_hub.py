"""A server on loopback that takes commits to a dataset as huggingface.co does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "somebody/labels"


class DatasetHub(ThreadingHTTPServer):
    """One dataset: None until it is created, then its files. `commits` counts them; none is taken of those
    whom it does not know.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] | None = None
        self.private = False
        self.knows_you = True
        self.commits = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: DatasetHub

    def do_GET(self) -> None:
        if self.server.files is None or not self.path.startswith(f"/api/datasets/{NAME}/tree/main"):
            return self._send({"error": f"no {self.path}"}, 404, "RepoNotFound")
        self._send(
            [
                {"type": "file", "path": name, "size": len(body), "oid": "0" * 40}
                for name, body in self.server.files.items()
            ]
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not self.server.knows_you:
            return self._send({"error": "Invalid username or password."}, 401, "RepoNotFound")
        match self.path.split("?")[0].split("/")[2:]:
            case ["repos", "create"]:
                self.server.files, self.server.private = {}, json.loads(body).get("visibility") == "private"
                self._send({"url": f"{self.server.endpoint}/datasets/{NAME}"})
            case ["validate-yaml"]:
                self._send({"errors": [], "warnings": []})
            case ["datasets", _, _, "preupload", "main"]:
                paths = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
                self._send({"files": modes})
            case ["datasets", _, _, "commit", "main"]:
                self._commit([json.loads(line) for line in body.splitlines()])
            case _:
                self._send({"error": self.path}, 404)

    def _commit(self, lines: list[dict]) -> None:
        assert self.server.files is not None
        for line in lines:
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            if line["key"] == "deletedFile":
                del self.server.files[line["value"]["path"]]
        self.server.commits += 1
        address = f"{self.server.endpoint}/datasets/{NAME}/commit/{'a' * 40}"
        self._send({"commitUrl": address, "commitOid": "a" * 40, "success": True})

    def _send(self, said: object, status: int = 200, code: str | None = None) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        for name, value in (("X-Error-Code", code), ("Content-Type", "application/json")):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `files`."""


@contextmanager
def serving() -> Iterator[DatasetHub]:
    """A hub without the dataset."""
    server = DatasetHub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
