"""A label browser that is open while labels change shows the new ones, and says so while there are none."""

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from benchmarks._label_sets import make_label_set
from flows.labels import browser
from tests.reports.served_pages import PORT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_label_set(tmp_path / "made-up", documents=5, chunks=60, candidates=6)
    return tmp_path


@pytest.fixture
def client(home: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Of what `rpt labels browse` would serve."""
    monkeypatch.setattr(browser, "serve", lambda application, port, open_page: application(PORT))
    return TestClient(
        browser.browse([str(home / "made-up")], PORT, False, home / "index"),
        base_url=f"http://127.0.0.1:{PORT}",
    )


def replace_labels(home: Path, **sizes: int) -> None:
    shutil.rmtree(home / "made-up")
    make_label_set(home / "made-up", **sizes)


def test_new_labels_are_shown_by_the_next_page(home: Path, client: TestClient) -> None:
    assert "5 documents" in client.get("/").text
    replace_labels(home, documents=3, chunks=60, candidates=6)
    assert "3 documents" in client.get("/").text


def test_labels_that_are_being_made_are_said_and_then_shown(home: Path, client: TestClient) -> None:
    (home / "made-up" / "labels").rename(home / "away")
    answer = client.get("/")
    assert answer.status_code == 503
    assert "labels" in answer.text
    assert client.get("/search?q=a").status_code == 503
    assert (
        client.get(
            client.get("/").text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
        ).status_code
        == 200
    )
    (home / "away").rename(home / "made-up" / "labels")
    assert client.get("/").status_code == 200


def test_nothing_is_read_again_while_nothing_changes(
    home: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "open_label_set", lambda *_: pytest.fail("opened again"))
    assert client.get("/").status_code == 200
