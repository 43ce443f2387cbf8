"""The bill of materials follows from the locks; licences and known vulnerabilities are refused unless a
reason is written down.
"""

import hashlib
import json
import tomllib

import pytest

from data_contracts.failure import Exit, Failure
from flows.cli import app
from flows.commands import advisories, licences, locks, sbom
from flows.commands.supply import SETTINGS

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
SAID = tomllib.loads(SETTINGS.read_text())


def lock(place, name, *rows):
    (place / name).write_text(
        "# what it is for\n" + "".join(f"{pin} \\\n    --hash=sha256:{digest}\n" for pin, digest in rows)
    )
    return place / name


def test_a_bill_names_each_version_once_with_the_hashes_and_locks_it_has(tmp_path):
    lock(tmp_path, "requirements.txt", ("One_Two==1.0", A), ("torch==2.1+cpu ; sys_platform == 'linux'", B))
    lock(tmp_path, "requirements-dev.txt", ("one-two==1.0", C), ("one-two==2.0", A))
    bill = sbom.bill_of_materials("it", "0.1", tmp_path)
    assert [one["purl"] for one in bill["components"]] == [
        "pkg:pypi/one-two@1.0",
        "pkg:pypi/one-two@2.0",
        "pkg:pypi/torch@2.1%2Bcpu",
    ]
    assert [one["content"] for one in bill["components"][0]["hashes"]] == [A, C]
    assert [one["value"] for one in bill["components"][0]["properties"]] == [
        "requirements-dev.txt",
        "requirements.txt",
    ]


def test_the_bill_of_this_project_has_every_hash_of_every_lock_and_no_clock(capsys):
    texts = []
    for _ in range(2):
        assert app(["sbom"], result_action="return_value") == Exit.DONE
        texts.append(capsys.readouterr().out)
    assert hashlib.sha256(texts[0].encode()).digest() == hashlib.sha256(texts[1].encode()).digest()
    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert set(bill) == {"bomFormat", "specVersion", "version", "metadata", "components"}
    assert set(bill["metadata"]) == {"component"}, "no time at which it was made"
    known = {digest["content"] for one in bill["components"] for digest in one["hashes"]}
    assert known == {digest for path in locks.locks() for pin in locks.pins(path) for digest in pin.hashes}
    assert len({one["bom-ref"] for one in bill["components"]}) == len(bill["components"]) > 250


@pytest.mark.parametrize(
    "text",
    ["one==1.0\n", "-e .\n", "one>=1.0 \\\n    --hash=sha256:" + A + "\n", "one==1 \\\n    --hash=md5:00\n"],
)
def test_a_lock_that_is_none_is_refused_with_its_name(tmp_path, text):
    (tmp_path / "requirements.txt").write_text(text)
    with pytest.raises(Failure, match=r"requirements\.txt"):
        locks.pins(tmp_path / "requirements.txt")


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-2.0-or-later", True),
        ("Apache-2.0 AND GPL-2.0-or-later", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("MIT AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MIT License AND GNU Affero General Public License v3", False),
        ("", False),
    ],
)
def test_an_expression_is_accepted_if_every_part_has_an_alternative_that_is(expression, accepted):
    assert licences.accepts(expression, frozenset(SAID["licences"]["allowed"])) is accepted


def package(place, name, version, *lines):
    folder = place / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines]) + "\n"
    )


def test_what_is_locked_is_read_refused_excepted_or_said_to_be_unread(tmp_path):
    package(tmp_path / "site", "fine", "1", "License-Expression: MIT")
    package(
        tmp_path / "site",
        "viral",
        "1",
        "License: AGPL-3.0",
        "Classifier: License :: OSI Approved :: GNU Affero General Public License v3",
    )
    package(tmp_path / "site", "silent", "1")
    package(tmp_path / "site", "known", "1", "License: strange")
    package(tmp_path / "site", "changed", "1", "License: stranger")
    package(tmp_path / "site", "older", "1", "License: MIT")
    names = ["fine==1", "viral==1", "silent==1", "known==1", "changed==1", "older==2", "absent==1"]
    pinned = locks.pins(lock(tmp_path, "requirements.txt", *((name, A) for name in names)))
    exceptions = [
        {"package": name, "licence": "strange", "reason": "a reason"} for name in ("known", "changed")
    ]
    found = licences.look_at(
        pinned, licences.installed([tmp_path / "site"]), {"allowed": ["MIT"], "exceptions": exceptions}
    )
    assert found.read == 5
    assert found.unread == ("older==2 of requirements.txt", "absent==1 of requirements.txt")
    assert [line.split()[0] for line in found.refused] == ["changed", "silent", "viral"]
    assert "it names no licence" in found.refused[1]


def test_every_exception_and_every_allowed_vulnerability_has_a_reason_and_a_pin():
    names = {pin.name for path in locks.locks() for pin in locks.pins(path)}
    rows = [*SAID["licences"]["exceptions"], *SAID["advisories"]["known"]]
    assert all(row["package"] in names for row in rows), "an exception for what is no longer locked goes"
    assert all(len(row.get("reason") or row.get("allowed") or row["source"]) > 10 for row in rows)


def test_an_advisory_concerns_the_versions_that_it_says(tmp_path):
    pinned = locks.pins(lock(tmp_path, "requirements.txt", ("one==1.5rc1", A), ("two==2.0", B)))
    known = [
        {"id": "CVE-1", "package": "one", "affected": "<2"},
        {"id": "CVE-2", "package": "two", "affected": "<2"},
    ]
    assert [row["id"] for row in advisories.known(pinned, {"known": known})] == ["CVE-1"]


def test_the_audit_of_this_checkout_refuses_nothing_and_says_that_it_asked_nobody(monkeypatch, capsys):
    monkeypatch.setattr(advisories, "reachable", lambda: "there is no network")
    assert app(["audit", "--json"], result_action="return_value") == Exit.DONE
    said = json.loads(capsys.readouterr().out)
    assert said["refused"] == []
    assert said["licences"] > 200
    assert said["database"] == "there is no network"
    assert {row["id"] for row in said["vulnerabilities"]} == {"CVE-2025-69872", "CVE-2023-48022"}
    with pytest.raises(Failure, match="there is no network") as failure:
        app(["audit", "--live"], result_action="return_value")
    assert failure.value.code == Exit.ENVIRONMENT


def test_a_vulnerability_that_is_not_allowed_fails_the_audit(monkeypatch, capsys):
    new = {"id": "GHSA-1", "package": "jax", "version": "1", "lock": "requirements.txt", "allowed": None}
    monkeypatch.setattr(advisories, "reachable", lambda: None)
    monkeypatch.setattr(
        advisories, "ask", lambda lock, policy: [new] if lock.name == "requirements.txt" else []
    )
    assert app(["audit"], result_action="return_value") == Exit.STAGE_FAILED
    assert "refused: GHSA-1 in jax" in capsys.readouterr().out


def test_what_pip_audit_says_is_allowed_by_any_of_its_names_and_a_skipped_package_is_no_answer():
    policy = {"known": [{"id": "CVE-1", "allowed": "a reason"}]}
    found = {
        "name": "one",
        "version": "1",
        "vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"]}, {"id": "GHSA-2", "aliases": []}],
    }
    rows = advisories.answers(json.dumps({"dependencies": [found]}), "requirements.txt", policy)
    assert [(row["id"], row["allowed"]) for row in rows] == [("GHSA-1", "a reason"), ("GHSA-2", None)]
    skipped = {"dependencies": [{"name": "two", "skip_reason": "Dependency not found on PyPI"}]}
    with pytest.raises(Failure, match="no answer for two"):
        advisories.answers(json.dumps(skipped), "requirements.txt", policy)


def test_a_database_that_is_not_there_is_not_reachable():
    assert advisories.reachable("http://127.0.0.1:1/")
