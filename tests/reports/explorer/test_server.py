"""The explorer answers what a person on this machine asks for, to nobody else, and says what is wrong with an address."""

import re

import pytest

from reports.browser.guard import POLICY
from tests.reports.browser.test_server import HOSTS, check_headers


@pytest.fixture(scope="module")
def key(library):
    return library.documents["key"][1]


@pytest.mark.parametrize("path", ["/", "/help", "/d/{key}", "/d/{key}/20", "/d/{key}/0", "/static/style.css", "/static/script.js"])
def test_pages_are_there_and_guarded(client, key, path):
    answer = client.get(path.format(key=key))
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    check_headers(answer)
    assert client.head(path.format(key=key)).status_code == 200


@pytest.mark.parametrize("host", HOSTS)
def test_other_names_of_this_machine_are_refused(client, key, host):
    answer = client.get(f"/d/{key}/20", headers={"host": host, "origin": f"http://{host}"})
    assert answer.status_code == 421
    check_headers(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "/").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/search", "/gains/0/0", "/d/", "/d/nothing", "/d/nothing/1", "/d/{key}/99999", "/d/{key}/1/2", "/D/{key}"],
)
def test_what_is_not_there_has_a_page_that_helps(client, key, path):
    answer = client.get(path.format(key=key))
    assert answer.status_code == 404
    assert 'href="/"' in answer.text
    assert re.search(r"<h1>.*</h1><p>.*</p><p>.*</p>", answer.text)
    assert len(answer.text) < 6000
    check_headers(answer)


BAD = (
    "/?show=nothing",
    "/?show=a-retro%3Aoracle",
    "/?against=a-retro%3A",
    "/?show=" + "x" * 201,
    "/?sort=text",
    "/?page=0",
    "/?split=other",
    "/d/{key}?colour=red",
    "/d/{key}?show=nothing",
    "/d/{key}/x",
    "/d/{key}/20?by=random",
    "/d/{key}/20?c=x",
    "/d/{key}/20?full=2",
    "/d/{key}/20?against=nothing",
)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path[:30])
def test_what_makes_no_sense_is_explained(client, key, path):
    answer = client.get(path.format(key=key))
    assert answer.status_code == 400
    assert re.search(r"<h1>.*</h1><p>.*</p><p>.*</p>", answer.text)
    assert len(answer.text) < 6000
    check_headers(answer)


def test_an_unknown_reading_names_the_known_ones(client):
    said = client.get("/?show=nothing").text
    assert "a-rpt_sem:oracle" in said


@pytest.mark.parametrize("path", ["/?page=999", "/d/{key}?at=999", "/d/{key}?c=99999", "/d/{key}/20?c=999", "/?x=y"])
def test_what_lies_past_the_end_is_still_a_page(client, key, path):
    assert client.get(path.format(key=key)).status_code == 200
