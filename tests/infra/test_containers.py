"""The image and the services of infra/docker: what linters and schemas of others say, and what we promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.commands.locks import pins
from flows.workspace import QUIET, ROOT

DOCKER = ROOT / "infra" / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
SERVICES = YAML(typ="safe").load(DOCKER / "compose.yaml")["services"]
TARGETS = ("cpu", "cuda", "tpu")
OWN_PLACE = ("DVC_SITE_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")  # of a checkout, not of telemetry


def said(program: str, *arguments: str) -> str:
    """What a program of the tests' environment prints; it fails if the program does."""
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages() -> dict[str, str]:
    """The stages of the Dockerfile by their names."""
    parts = re.split(r"^FROM (?:\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_dockerfile_has_no_finding_of_its_linter():
    assert said("hadolint", str(DOCKER / "Dockerfile")) == ""


def test_the_services_are_what_compose_understands():
    said("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / "compose.yaml"))


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_no_root_with_the_packages_of_its_device(target):
    text = stages()[target]
    packages = "packages" if target == "cpu" else f"packages-{target}"
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["1000:1000"]
    assert f"COPY --from={packages} " in text
    locks = re.findall(r"install\.sh \S+ (\S+)", stages()["packages"] + stages()[packages])
    expected = {"requirements.txt", "requirements-cluster.txt"}
    expected |= set() if target == "cpu" else {f"requirements-{target}.txt"}
    assert set(locks) == expected


def test_telemetry_is_off_in_every_image():
    settings = dict(re.findall(r"(\w+)=(\S+)", re.sub(r"\\\n", " ", stages()["system"])))
    assert {name: settings.get(name) for name in QUIET if name not in OWN_PLACE} == {
        name: value for name, value in QUIET.items() if name not in OWN_PLACE
    }
    assert settings["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_nothing_that_git_ignores_gets_into_an_image():
    left_out = set((ROOT / ".dockerignore").read_text().split())
    ignored = (line.strip("/") for line in (ROOT / ".gitignore").read_text().split())
    caches = [".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", "*.egg-info"]
    assert [
        name
        for name in ignored
        if not {name, f"{name}*", f"**/{name}", name.removesuffix("/")} & left_out and name not in caches
    ] == []
    assert ".*_cache" in left_out


@pytest.mark.parametrize("device", ["cuda", "tpu", "cluster"])
def test_the_lock_of_a_device_only_adds_to_the_base(device):
    base = {pin.name: pin.version for pin in pins(ROOT / "requirements.txt")}
    added = {pin.name: pin.version for pin in pins(ROOT / f"requirements-{device}.txt")}
    assert not base.keys() & added.keys()
    assert all(version == base["jax"] for name, version in added.items() if name.startswith("jax-cuda"))


def test_services_are_reached_from_this_machine_only():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    networks = YAML(typ="safe").load(DOCKER / "compose.yaml")["networks"]
    for name, service in SERVICES.items():
        closed = all((networks[network] or {}).get("internal") for network in service["networks"])
        assert closed or name == "server"


def test_the_password_is_in_a_file_and_in_no_setting():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value == "/run/secrets/database_password"
    assert {name for name, service in SERVICES.items() if service.get("secrets")} == {"database", "server"}
