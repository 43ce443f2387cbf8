"""`rpt labels browse` as a process: it says where it is, listens on loopback alone, and ends with Ctrl-C."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

import psutil
import pytest

from benchmarks._label_sets import make_label_set
from data_contracts.failure import Exit, Failure
from flows.labels import versions as label_versions
from flows.labels.browser import browse
from flows.labels.commands import labels as command
from tests.pipelines import environment, private

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(project, tmp_path_factory):
    """A copy of the project that other tests do not see."""
    return private(project, tmp_path_factory.mktemp("browsing") / "project")


@pytest.fixture(scope="module")
def labels(workspace):
    make_label_set(workspace / "artifacts" / "made-up", documents=5, chunks=60, candidates=6, shards=2)
    return workspace / "artifacts" / "made-up" / "labels"


@contextmanager
def browsing(workspace, *arguments):
    """A running browser and its address."""
    called = [sys.executable, "-m", "flows.cli", "labels", "browse", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(called, cwd=workspace, env=environment(workspace), text=True, **pipes)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [(), ("made-up",), ("made-up", "artifacts/made-up")])
def test_it_serves_until_it_is_stopped(workspace, labels, number, arguments):
    with browsing(workspace, *arguments) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(address) as answer:
            assert b"made-up" in answer.read()
        assert process.stdout.readline() == "stop with Ctrl-C\n"
        process.send_signal(number)
        assert process.wait(60) == Exit.DONE
        said = process.stderr.read().splitlines()  # on a slow machine that it makes an index
        assert [line for line in said if not line.startswith("indexing ")] == []


def test_it_listens_on_loopback_alone(workspace, labels):
    with browsing(workspace) as (process, _):
        listening = [
            found.laddr.ip
            for found in psutil.Process(process.pid).net_connections()
            if found.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]


def test_long_and_broken_requests_leave_it_running(workspace, labels):
    with browsing(workspace) as (process, address):
        place = ("127.0.0.1", int(address.rsplit(":", 1)[1].strip("/")))
        head = f"Host: 127.0.0.1:{place[1]}\r\n".encode()
        requests = {
            b"GET /?find=" + b"x" * 2_000_000 + b" HTTP/1.1\r\n" + head + b"\r\n": b"HTTP/1.1 400",
            b"GET / HTTP/1.1\r\n" + head + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n": b"HTTP/1.1 400",
            b"\x00\xff" * 100 + b"\r\n\r\n": b"HTTP/1.1 400",
            b"GET / HTTP/1.1\r\n\r\n": b"HTTP/1.1 400",
            b"GET / HTTP/1.0\r\n\r\n": b"HTTP/1.1 400",
            b"POST / HTTP/1.1\r\n" + head + b"Content-Length: 9\r\n\r\n": b"HTTP/1.1 405",
            b"GET http://evil.example/ HTTP/1.1\r\n" + head + b"\r\n": b"HTTP/1.1 ",
            b"GET /../../etc/passwd HTTP/1.1\r\n" + head + b"\r\n": b"HTTP/1.1 404",
        }
        for request, answer in requests.items():
            assert said(place, request).startswith(answer), request[:40]
        with urllib.request.urlopen(address) as alive:
            assert alive.status == 200
        assert process.poll() is None


def said(place, request):
    """The first bytes of the answer; a server that hangs up in the middle of a request has said what it had
    to before that.
    """
    with socket.create_connection(place, timeout=20) as connection:
        with suppress(OSError):
            connection.sendall(request)
        try:
            return connection.recv(200)
        except ConnectionResetError:
            return b"HTTP/1.1 400 (reset)"


def test_a_taken_port_is_explained(workspace, labels, rpt):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = rpt(workspace, "labels", "browse", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, "another with --port" in done.stderr) == (Exit.ENVIRONMENT, True)


def test_a_port_that_is_none_is_explained(labels, tmp_path):
    with pytest.raises(Failure) as failure:
        browse([str(labels)], 99999, False, tmp_path)
    assert failure.value.code == Exit.ENVIRONMENT


@pytest.mark.parametrize("versions", [["nothing"], ["a", "b", "c"]])
def test_wrong_versions_are_explained(workspace, labels, monkeypatch, versions):
    monkeypatch.setattr(label_versions, "ROOT", workspace)
    with pytest.raises(Failure) as failure:
        command(["browse", *versions], result_action="return_value")
    assert failure.value.code == Exit.USAGE


def test_stopping_does_not_wait_for_requests(workspace, labels):
    with browsing(workspace) as (process, address):
        place = ("127.0.0.1", int(address.rsplit(":", 1)[1].strip("/")))
        with socket.create_connection(place) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\n")
            time.sleep(0.3)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == Exit.DONE
            assert time.monotonic() - began < 10
