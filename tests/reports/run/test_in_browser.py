"""The page in a real browser: hostile text arrives as text, nothing runs and nothing is asked for."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from benchmarks._chromium import BROWSERS, QUIET
from reports.html.markup import clipped
from reports.html.parts import NAME
from reports.labels.label_sections import CHUNK_CHARACTERS
from reports.run.data_sections import PATH
from tests.hostile import HOSTILE, LEAK
from tests.reports.hostile import ACTING
from tests.reports.label_sample import render as render_labels
from tests.reports.sample import render

FLAGS = ("--headless", *QUIET, "--enable-logging=stderr")


class Listener:
    """Counts the connections made to a port of this machine."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}/leak"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()


@pytest.fixture
def listener():
    """A listener for the time of a test."""
    opened = Listener()
    yield opened
    opened.socket.close()


@pytest.fixture
def browse(tmp_path):
    """Opens HTML as a file; gives the document as it stands afterwards, and the browser's log."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.fail(f"no browser found: looked for {', '.join(BROWSERS)} | remedy: apt-get install chromium")

    def browse(html: str) -> tuple[str, str]:
        page = tmp_path / "page.html"
        page.write_text(html, encoding="utf-8", newline="")
        command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=120, cwd=Path(tmp_path))
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
        return done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")

    return browse


@pytest.mark.slow
def test_hostile_text_arrives_and_does_nothing(browse, listener, parse, sample):
    texts = [text.replace(LEAK, listener.address) for text in HOSTILE]
    for begin in range(0, len(texts), 40):
        part = texts[begin : begin + 40]
        sample["headline"], sample["warnings"] = part[:3], part
        sample["artifacts"] = [[text, text] for text in part]
        (example, *_), neighbour = sample["gain_examples"], sample["gain_examples"][0]["neighbours"][0]
        sample["gain_examples"] = [
            {
                **example,
                "doc_id": text,
                "query": text,
                "target": text,
                "neighbours": [{**neighbour, "text": text}],
            }
            for text in part
        ]
        document, log = browse(render(sample))
        page = parse(document)
        assert page.all_text("ul", "warnings") == ["".join(part)]
        assert page.all_text("code")[: 2 * len(part)] == [
            *(clipped(text, NAME) for text in part),
            *(clipped(text, PATH) for text in part),
        ]
        assert page.all_text("div", "chunk") == [text[:CHUNK_CHARACTERS] for text in part for _ in range(3)]
        assert "owned" not in page.elements[0][1]
        assert not {name for name, _ in page.elements} & ACTING
        assert "CONSOLE" not in log
    assert listener.connections == 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_hostile_documents_do_nothing_on_the_page_of_the_labels(
    browse, listener, parse, label_sample, tmp_path, part
):
    texts = [
        text.replace(LEAK, listener.address).encode("utf-8", "replace").decode() for text in HOSTILE[part::6]
    ]
    turn = iter(range(10**6))
    label_set = label_sample.made_up_set(
        tmp_path,
        text=lambda rng: texts[next(turn) % len(texts)],
        source=lambda number: texts[number % len(texts)],
    )
    report = label_sample.label_report(label_set)
    report.update(corpus=texts[0], scorer=dict(zip(texts, texts, strict=True)))
    document, log = browse(render_labels(report))
    page = parse(document)
    examples = [
        example for kind in ("copy", "best", "surprising", "worst") for example in report["examples"][kind]
    ]
    shown = [
        text
        for one in examples
        for text in (one["query"], one["target"], *(candidate["text"] for candidate in one["candidates"]))
    ]
    assert page.all_text("div", "chunk") == shown
    assert len(set(shown)) > len(texts) // 2
    assert "CONSOLE" not in log
    assert page.all_text("bdi")[1:] == [clipped(example["source"], NAME) for example in examples]
    assert "owned" not in page.elements[0][1]
    assert not {name for name, _ in page.elements} & ACTING
    assert listener.connections == 0


@pytest.mark.slow
def test_the_browser_would_have_been_caught(browse, listener, parse):
    attack = (
        "<!doctype html><html><body><script>document.documentElement.setAttribute('owned','1')</script><img"
        f" src='{listener.address}'>"
    )
    document, _ = browse(attack)
    assert parse(document).elements[0][1] == {"owned": "1"}
    assert listener.connections > 0


@pytest.mark.slow
def test_the_policy_stops_what_escaping_would_miss(browse, listener, parse, sample):
    attack = (
        f"<script>document.documentElement.setAttribute('owned','1')</script><img src='{listener.address}'>"
    )
    document, log = browse(render(sample).replace("<main>", f"<main>{attack}"))
    assert "owned" not in parse(document).elements[0][1]
    assert "CONSOLE" in log
    assert listener.connections == 0
