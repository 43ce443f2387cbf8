"""`rpt gc`: what no run goes on with by itself is listed with the reason, and removed only if asked to."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts.failure import Failure
from flows import cli, workspace
from flows.commands import gc as gc_module
from stages.identity.scratch import open_scratch
from stages.runner.messages import Messages

NOW = {
    "code": {"stages/supervision/packing.py": "2"},
    "inputs": {},
    "parameters": {"geometry": {"chunk_tokens": 8}},
}
OLD = NOW | {"code": {"stages/supervision/packing.py": "1"}}
OTHER = NOW | {"parameters": {"geometry": {"chunk_tokens": 4}}}


@pytest.fixture
def gc(tmp_path, monkeypatch, capsys):
    """`rpt gc` in a workspace whose packing, of corpus demo, is now `NOW`, and whose other stages lack their
    inputs.
    """
    monkeypatch.chdir(tmp_path)
    for module in (cli.keeping, gc_module):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(workspace, "STATE", tmp_path / ".run")
    monkeypatch.setattr(
        "stages.parameters.load", lambda path: SimpleNamespace(corpora={"demo": None}, runs={})
    )
    monkeypatch.setattr(gc_module, "load_stage", lambda name: name)
    monkeypatch.setattr(gc_module, "identity_of", identity_of)

    def gc(*arguments: str) -> str:
        assert cli.app(["gc", *arguments], result_action="return_value") == 0
        return capsys.readouterr().out

    return gc


def identity_of(stage: str, item: str, configuration: object) -> dict:
    if stage != "packing":
        raise Failure("tokens", "it is missing", "make it")
    return NOW


def left(stage: str, item: str, identity: dict) -> str:
    scratch = open_scratch(stage, item, identity, Messages(io.StringIO()))
    (scratch / "part-00000.parquet").write_bytes(b"x" * 2_000_000)
    return str(scratch)


def test_it_lists_what_how_large_and_why_and_removes_when_asked(gc, tmp_path):
    mine, old, other = (left("packing", "demo", identity) for identity in (NOW, OLD, OTHER))
    gone, unknown = left("training", "a-run", OLD), left("mining", "demo", OLD)
    rows = {row["scratch"]: row for row in json.loads(gc("--json"))["unused"]}
    assert {name: row["why"] for name, row in rows.items()} == {
        old: "other code: stages/supervision/packing.py",
        other: "other parameters: geometry.chunk_tokens",
        gone: "params.yaml and dvc.yaml have no such stage",
    }
    assert {row["bytes"] for row in rows.values()} == {2_000_000}
    listed = gc()
    assert f"       2.0 MB  {old}: half-finished work, 1 files or folders, of 20" in listed
    assert listed.endswith("6.0 MB to remove; `./rpt gc --yes` does\n")
    assert gc("--yes").endswith("6.0 MB removed\n")
    assert {str(path.relative_to(tmp_path)) for path in Path(tmp_path / ".work").glob("*/*/*/")} == {
        mine,
        unknown,
    }
    assert gc() == "nothing to remove\n"
    assert [path.suffix for path in (tmp_path / ".work/packing/demo").iterdir() if path.is_file()] == [
        ".json"
    ]


def test_scratch_of_which_nothing_is_known_is_listed(gc, tmp_path):
    (tmp_path / ".work/packing/demo/0123456789abcdef").mkdir(parents=True)
    (row,) = json.loads(gc("--json"))["unused"]
    assert row["why"] == "nothing says what it was made with"
