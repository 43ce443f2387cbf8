"""`rpt doctor`: what it finds on a machine that lacks something, and that every trouble comes with a line to
paste.
"""

import importlib.metadata
import json
import os
import re
import resource
import socket
from pathlib import Path

import pytest

from data_contracts.failure import Exit
from flows.cli import app
from flows.doctor import checkout, machine, network, stores
from flows.doctor.finding import Finding, as_data, examine, judged, report
from stages.stores.object_store import ObjectStore

CHECKS = machine.CHECKS | checkout.CHECKS | network.CHECKS | stores.CHECKS
GIB = 2**30


def test_this_machine_can_run_it(capsys):
    code = app(["doctor", "--json"], result_action="return_value")
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert len(found) == len(CHECKS) >= 15
    assert code == Exit.DONE, [finding for finding in found.values() if finding["state"] == "bad"]
    assert "cpu" in found["devices"]["found"]


def test_the_report_has_a_fix_for_every_trouble_and_none_for_the_rest():
    findings = [
        judged("a", "fine", "never"),
        judged("long name", "odd", "mend it", unsure=True),
        judged("b", "gone", "bring it back", bad=True),
    ]
    assert report(findings).splitlines() == [
        "ok   a          fine",
        "look long name  odd",
        "                -> mend it",
        "FAIL b          gone",
        "                -> bring it back",
        "",
        "3 checks: 1 will fail, 1 to look at",
    ]
    assert as_data(findings)["bad"] == 1


def test_a_check_that_breaks_hides_no_other():
    def broken() -> Finding:
        raise PermissionError("no")

    assert examine("x", broken) == Finding(
        "x", "unsure", "could not be looked at: PermissionError: no", "nothing, if everything works"
    )


@pytest.mark.parametrize(
    ("free", "limit", "state"),
    [
        (16 * GIB, None, "good"),
        (2 * GIB, None, "unsure"),
        (16 * GIB, 2 * GIB, "unsure"),
        (16 * GIB, 8 * GIB, "good"),
    ],
)
def test_memory_is_what_a_container_may_use(free, limit, state):
    assert machine.memory(lambda: free, lambda: limit).state == state


@pytest.mark.parametrize(
    ("name", "text", "limit"), [("memory.max", "max", None), ("memory.max", "1073741824", GIB)]
)
def test_the_limit_of_a_container(name, text, limit, tmp_path):
    (tmp_path / name).write_text(text + "\n")
    assert machine.container_limit(tmp_path) == limit
    assert machine.container_limit(tmp_path / "none") is None


def test_few_open_files(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert machine.open_files() == Finding("open files", "bad", "256 of at most 4,096", "ulimit -n 4096")


def test_sockets_of_ray_in_a_deep_directory(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "d" * 60)
    assert machine.temporary_directory().state == "bad"


def test_devices_that_cannot_be_found(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    assert machine.devices().state == "bad"


def test_packages_in_another_version_or_missing(tmp_path):
    numpy = importlib.metadata.version("numpy")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"numpy=={numpy} \\\n    --hash=sha256:00\nnone-such==1.0 \\\n    --hash=sha256:11\n")
    assert checkout.packages(lock).found == "none-such 1.0 is missing"
    lock.write_text(f"numpy=={numpy} \\\n    --hash=sha256:00\n")
    assert checkout.packages(lock).state == "good"
    lock.write_text("numpy==0.1 \\\n")
    assert checkout.packages(lock).found == f"numpy 0.1 is {numpy}"


def test_a_checkout_that_cannot_be_written(tmp_path):
    assert checkout.writable(tmp_path).state == "good"
    assert checkout.writable(tmp_path / "gone").state == "bad"


def test_locks_that_two_hold(tmp_path, monkeypatch):
    assert checkout.locks(tmp_path).state == "good"
    monkeypatch.setattr(checkout.fcntl, "flock", lambda *_: None)
    assert checkout.locks(tmp_path).state == "bad"


def test_artifacts_on_another_disk(tmp_path):
    assert checkout.one_file_system(tmp_path).state == "good"
    other = Path("/dev/shm")
    if other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.fail("this machine has one file system; the test needs /dev/shm on another")
    (tmp_path / "artifacts").symlink_to(other)
    assert checkout.one_file_system(tmp_path).state == "unsure"


def test_parameters_that_are_wrong_and_sources_that_are_gone(tmp_path):
    params = (checkout.ROOT / "profiles" / "demo.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(params.replace("chunk_tokens: 64", "chunk_tokens: none"))
    assert checkout.parameters(path).state == "bad"
    path.write_text(params.replace("source: python-stdlib", "source: my_books/*.txt"))
    assert checkout.parameters(path).state == "good"
    assert checkout.sources(path).state == "bad"
    (tmp_path / "my_books").mkdir()
    (tmp_path / "my_books" / "a.txt").write_text("text")
    assert checkout.sources(path).found == "1 files of 1 corpora on this machine"


def test_a_umask_that_hides_files_from_their_owner():
    before = os.umask(0o722)
    try:
        assert checkout.umask().state == "bad"
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("variables", "state"),
    [
        ({}, "good"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "bad"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "example.org, 127.0.0.1"}, "good"),
        ({"ALL_PROXY": "socks5://proxy", "NO_PROXY": "*"}, "good"),
    ],
)
def test_a_proxy_must_spare_loopback(variables, state):
    found = network.proxies(variables)
    assert found.state == state
    assert "proxy:3128" not in found.found  # it may hold a password


def test_a_server_elsewhere_is_named(tmp_path):
    assert network.prefect_profile({"PREFECT_API_URL": "http://me:secret@10.0.0.1/api"}).found == "10.0.0.1"
    assert network.remote_ray({"RAY_ADDRESS": "10.0.0.1:6379"}).state == "unsure"
    assert network.hub({"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}).state == "unsure"
    assert network.hub({"HF_HOME": str(tmp_path)}).state == "good"


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert network.prefect_port(server.getsockname()[1]).state == "unsure"


def test_a_ledger_in_a_bucket(tmp_path, gcs, monkeypatch):
    path = tmp_path / "params.yaml"
    params = (checkout.ROOT / "profiles" / "demo.yaml").read_text()

    def found(url: str) -> Finding:
        path.write_text(re.sub("^runtime:.*$", f"runtime:\n  ledger: {url}", params, flags=re.MULTILINE))
        return stores.ledger(path)

    assert found("ledger").found == "ledger is a directory"
    assert found("gs://bucket/x").found == "gs://bucket/x has 0 objects; may be read, added to and merged"
    missing = found("gs://absent/x")
    assert (missing.state, missing.fix) == ("bad", "create the bucket, or correct its name")
    monkeypatch.setattr(
        ObjectStore, "lacking_rights", lambda store: ["storage.objects.create", "storage.objects.delete"]
    )
    refused = found("gs://bucket/x")
    assert refused.found == "gs://bucket/x does not grant storage.objects.create, storage.objects.delete"
    assert "gs://bucket --member" in refused.fix
    assert gcs.objects() == {}
