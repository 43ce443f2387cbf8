"""How Prefect's server is started; tests/flows/test_services.py starts one."""

import itertools
from contextlib import nullcontext

import pytest

from infra import services as module
from infra.services import services


@pytest.fixture
def started(monkeypatch) -> list[list[str]]:
    """The arguments of every process that would have been started."""
    commands = list[list[str]]()
    monkeypatch.setattr(module, "supervised", lambda command, **_: commands.append(command) or nullcontext())
    for name in ("release", "_wait_for", "_create_pool", "_deploy"):
        monkeypatch.setattr(module, name, lambda *_: None)
    return commands


def test_the_server_listens_on_loopback_where_it_is_said_to_be(started, tmp_path):
    with services(tmp_path, {}, None, None) as found:
        pass
    server = next(command for command in started if "server" in command)
    options = dict(itertools.pairwise(server))
    assert found.api_url == f"http://127.0.0.1:{options['--port']}/api"
    assert options["--host"] == "127.0.0.1"


def test_no_server_is_started_beside_one_that_is_named(started, tmp_path):
    with services(tmp_path, {}, "http://127.0.0.1:9/api", None) as found:
        assert not found.own_server
    assert [command for command in started if "server" in command] == []
