"""Both servers of pages answer what a person on this machine asks for, to nobody else, and say what is wrong
with an address.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from reports.site.application import POLICY
from tests.hostile import check_each
from tests.reports.served_pages import browser_client, check_headers, explorer_client


@dataclass(frozen=True)
class Server:
    """A client of it, and a document that it shows."""

    name: str
    client: TestClient
    key: str

    def ask(self, path: str, method: str = "GET", **headers: str):
        """The answer; `{key}` in a path stands for the document, and `_` in the name of a header for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path.format(key=self.key), headers=named)


@pytest.fixture(scope="module", params=["browser", "explorer"])
def server(request) -> Server:
    if request.param == "browser":
        labels = request.getfixturevalue("browsed_set")
        return Server("browser", browser_client(labels), labels.documents["doc_id"][1])
    library = request.getfixturevalue("explored_library")
    return Server("explorer", explorer_client(library), library.documents["key"][1])


PAGES = {
    "both": ("/", "/help", "/d/{key}", "/d/{key}/20", "/d/{key}/0", "/static/style.css", "/static/script.js"),
    "browser": ("/search", "/search?q=the", "/compare"),
    "explorer": (),
}


def test_pages_are_there_and_guarded(server):
    def check(path):
        answer = server.ask(path)
        assert answer.status_code == 200
        check_headers(answer)
        assert server.ask(path, "HEAD").status_code == 200

    check_each([*PAGES["both"], *PAGES[server.name]], check)


def test_the_policy_lets_nothing_in_from_elsewhere():
    directives = dict(directive.strip().split(" ", 1) for directive in POLICY.split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert (
        directives["script-src"]
        == directives["style-src"]
        == directives["connect-src"]
        == directives["form-action"]
        == "'self'"
    )
    assert "unsafe" not in POLICY


METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")


def test_other_methods_are_refused(server):
    def check(case):
        method, path = case
        answer = server.ask(path, method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        check_headers(answer)

    check_each(
        [(method, path) for method in METHODS for path in ("/", "/static/style.css", "/nothing")], check
    )


HOSTS = (
    "evil.example",
    "evil.example:8000",
    "127.0.0.1",
    "127.0.0.1:8001",
    "localhost",
    "[::1]:8000",
    "0.0.0.0:8000",
    "127.0.0.1:8000.evil.example",
    "",
)


def test_other_names_of_this_machine_are_refused(server):
    def check(case):
        host, path = case
        answer = server.ask(path, host=host, origin=f"http://{host}")
        assert answer.status_code == 421
        check_headers(answer)

    check_each(
        [(host, path) for host in HOSTS for path in ("/", "/static/style.css", "/gains/0/0", "/d/{key}/20")],
        check,
    )


def test_its_own_names_are_answered(server):
    answers = {
        host: server.ask("/help", host=host).status_code
        for host in ("127.0.0.1:8000", "localhost:8000", "LocalHost:8000")
    }
    assert set(answers.values()) == {200}, answers


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1:8000", b"evil.example"], [b"127.0.0.1:8000"] * 2])
def test_there_must_be_one_host(server, hosts):
    assert status_of(server.client.app, [(b"host", host) for host in hosts]) == 400


def status_of(app, headers):
    """Of a request as a client library would not send it."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/help",
        "raw_path": b"/help",
        "query_string": b"",
        "headers": headers,
    }
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, None, send))
    return sent[0]["status"]


def test_other_sites_may_link_but_not_load(server):
    modes = {"no-cors": 403, "cors": 403, "navigate": 200}
    assert {
        mode: server.ask("/help", sec_fetch_site="cross-site", sec_fetch_mode=mode).status_code
        for mode in modes
    } == modes


MISSING = {
    "both": (
        "/nothing",
        "/d",
        "/d/",
        "/d/nothing",
        "/d/nothing/1",
        "/d/{key}/99999",
        "/d/{key}/1000000000",
        "/d/{key}/1/2",
        "/d/../../etc/passwd",
        "/d/..%2f..%2f..%2fetc%2fpasswd",
        "/d/%00/1",
        "/d/{key}%00",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/d/" + "x" * 3000,
        "/favicon.ico",
        "/index.html",
        "/D/{key}",
    ),
    "browser": ("/d/{key}/60",),
    "explorer": ("/search", "/gains/0/0"),
}


def check_explanation(answer):
    """It says what is wrong, why, and what to do, in few words."""
    assert re.search(r"<h1>.*</h1><p>.*</p><p>.*</p>", answer.text)
    assert len(answer.text) < 6000
    check_headers(answer)


def test_what_is_not_there_has_a_page_that_helps(server):
    def check(path):
        answer = server.ask(path)
        assert answer.status_code == 404
        assert 'href="/"' in answer.text
        check_explanation(answer)

    check_each([*MISSING["both"], *MISSING[server.name]], check)


def test_an_encoded_slash_is_a_slash(server):
    assert server.ask("/d/{key}%2f1").status_code == 200


def test_only_static_files_are_files(server):
    def check(name):
        answer = server.ask(f"/static/{name}")
        assert answer.status_code == 404
        assert "import" not in answer.text

    check_each(
        [
            "server.py",
            "..%2fserver.py",
            "../server.py",
            "%2e%2e%2fserver.py",
            "",
            "style.css%00",
            "style.css/",
            ".",
        ],
        check,
    )


BAD = {
    "both": (
        "/?page=0",
        "/?page=-1",
        "/?page=x",
        "/?page=1e3",
        "/?page=1.0",
        "/?page=٣",
        "/?page=99999999999999999999",
        "/?page=" + "9" * 5000,
        "/?split=other",
        "/?sort=text",
        "/?find=" + "x" * 201,
        "/d/{key}?at=0",
        "/d/{key}/x",
        "/d/{key}/-1",
        "/d/{key}/ 1",
        "/d/{key}/" + "9" * 5000,
        "/d/{key}/20?c=x",
        "/d/{key}/20?by=random",
        "/d/{key}/20?full=2",
    ),
    "browser": (
        "/d/{key}/20?gains=yes",
        "/search?q=" + "x" * 60_000,
        "/search?q=x&moved=-1",
        "/search?q=x&shard=x",
        "/search?q=x&sign=both",
        "/search?order=text",
    ),
    "explorer": (
        "/?show=nothing",
        "/?show=a-retro%3Aoracle",
        "/?against=a-retro%3A",
        "/?show=" + "x" * 201,
        "/d/{key}?colour=red",
        "/d/{key}?show=nothing",
        "/d/{key}/20?against=nothing",
    ),
}


def test_what_makes_no_sense_is_explained(server):
    def check(path):
        answer = server.ask(path)
        assert answer.status_code == 400
        check_explanation(answer)

    check_each([*BAD["both"], *BAD[server.name]], check)


PAST = {
    "both": ("/?page=999", "/d/{key}?at=999", "/d/{key}/20?c=999", "/?x=y"),
    "browser": ("/search?q=the&shard=999", "/search?q=the&row=999999", "/d/{key}/20?gains=show"),
    "explorer": ("/d/{key}?c=99999",),
}


def test_what_lies_past_the_end_is_still_a_page(server):
    paths = [*PAST["both"], *PAST[server.name]]
    assert {path: server.ask(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_static_files_are_kept_by_an_address_that_names_their_content(server):
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', server.ask("/").text)
    assert len(addresses) == 2
    for address in addresses:
        assert re.fullmatch(r"/static/[a-z.]+\?v=[0-9a-f]{12}", address)
        assert "immutable" in server.ask(address).headers["cache-control"]
    assert server.ask("/").headers["cache-control"] == "no-store"
