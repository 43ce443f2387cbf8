"""The server answers what a person on this machine asks for, to nobody else, and says what is wrong with an address."""

import asyncio
import re

import pytest

from reports.browser.guard import POLICY
from reports.browser.server import browser
from reports.browser.shelf import Shelf

PAGES = (
    "/",
    "/search",
    "/search?q=the",
    "/help",
    "/compare",
    "/d/{key}",
    "/d/{key}/20",
    "/d/{key}/0",
    "/static/style.css",
    "/static/script.js",
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


@pytest.fixture(scope="module")
def key(label_set):
    return label_set.documents["doc_id"][1]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_there_and_guarded(client, key, path):
    answer = client.get(path.format(key=key))
    assert answer.status_code == 200
    check_headers(answer)
    assert client.head(path.format(key=key)).status_code == 200


def check_headers(answer):
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_policy_lets_nothing_in_from_elsewhere():
    directives = dict(directive.strip().split(" ", 1) for directive in POLICY.split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == directives["form-action"] == "'self'"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
@pytest.mark.parametrize("path", ["/", "/static/style.css", "/nothing"])
def test_other_methods_are_refused(client, method, path):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    check_headers(answer)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/", "/static/style.css", "/gains/0/0"])
def test_other_names_of_this_machine_are_refused(client, host, path):
    answer = client.get(path, headers={"host": host, "origin": f"http://{host}"})
    assert answer.status_code == 421
    check_headers(answer)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LocalHost:8000"])
def test_its_own_names_are_answered(client, host):
    assert client.get("/help", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1:8000", b"evil.example"], [b"127.0.0.1:8000"] * 2])
def test_there_must_be_one_host(label_set, hosts):
    assert status_of(label_set, [(b"host", host) for host in hosts]) == 400


def status_of(label_set, headers):
    """Of a request as a client library would not send it."""
    scope = {"type": "http", "method": "GET", "path": "/help", "raw_path": b"/help", "query_string": b"", "headers": headers}
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(browser(Shelf([label_set], ["x"], [None]), 8000)(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize(("mode", "status"), [("no-cors", 403), ("cors", 403), ("navigate", 200)])
def test_other_sites_may_link_but_not_load(client, mode, status):
    answer = client.get("/help", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": mode})
    assert answer.status_code == status


MISSING = (
    "/nothing",
    "/d",
    "/d/",
    "/d/nothing",
    "/d/nothing/1",
    "/d/{key}/60",
    "/d/{key}/1000000000",
    "/d/{key}/1/2",
    "/d/../../etc/passwd",
    "/d/..%2f..%2f..%2fetc%2fpasswd",
    "/d/%00/1",
    "/d/{key}%00",
    "/d/{key}%2f1",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/d/" + "x" * 3000,
    "/favicon.ico",
    "/index.html",
    "/D/{key}",
)


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_has_a_page_that_helps(client, key, path):
    path = path.format(key=key)
    answer = client.get(path)
    if path == f"/d/{key}%2f1":  # an encoded slash is a slash
        assert answer.status_code == 200
        return
    assert answer.status_code == 404
    assert 'href="/"' in answer.text
    assert len(answer.text) < 6000
    check_headers(answer)


@pytest.mark.parametrize(
    "name", ["server.py", "..%2fserver.py", "../server.py", "%2e%2e%2fserver.py", "", "style.css%00", "style.css/", "."]
)
def test_only_static_files_are_files(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text


BAD = (
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
    "/d/{key}/20?gains=yes",
    "/d/{key}/20?full=2",
    "/search?q=" + "x" * 60_000,
    "/search?q=x&moved=-1",
    "/search?q=x&shard=x",
    "/search?q=x&sign=both",
    "/search?order=text",
)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path[:30])
def test_what_makes_no_sense_is_explained(client, key, path):
    answer = client.get(path.format(key=key))
    assert answer.status_code == 400
    assert re.search(r"<h1>.*</h1><p>.*</p><p>.*</p>", answer.text)
    assert len(answer.text) < 6000
    check_headers(answer)


@pytest.mark.parametrize(
    "path", ["/?page=999", "/d/{key}?at=999", "/d/{key}/20?c=999", "/search?q=the&shard=999", "/search?q=the&row=999999", "/?x=y"]
)
def test_what_lies_past_the_end_is_still_a_page(client, key, path):
    assert client.get(path.format(key=key)).status_code == 200


def test_static_files_are_kept_by_an_address_that_names_their_content(client):
    page = client.get("/").text
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(addresses) == 2
    for address in addresses:
        assert re.fullmatch(r"/static/[a-z.]+\?v=[0-9a-f]{12}", address)
        assert "immutable" in client.get(address).headers["cache-control"]
    assert client.get("/").headers["cache-control"] == "no-store"


def test_labels_that_change_under_the_browser_are_not_shown(tmp_path, client_of):
    from benchmarks._label_sets import make_label_set
    from reports.label_set import open_label_set

    make_label_set(tmp_path, documents=3, chunks=30, candidates=4)
    labels = open_label_set(tmp_path / "labels", tmp_path / "cache")
    make_label_set(tmp_path / "new", documents=2, chunks=45, candidates=2)
    (tmp_path / "new" / "labels" / "part-00000.parquet").replace(tmp_path / "labels" / "part-00000.parquet")
    answer = client_of(labels).get(f"/d/{labels.documents['doc_id'][1]}/20")
    assert answer.status_code == 500
    assert "It changed while it was looked at" in answer.text
