"""Who made an artifact is found by its manifest alone, and nothing of it is tracked."""

import json
import os
import subprocess
import sys

import pytest

from flows.makers import PLACE, commit, machine, maker_of, remember

LOCK = """schema: '2.0'
stages:
  scoring@demo:
    cmd: python -m stages scoring
    params:
      params.yaml:
        scoring:
          candidates: 12
          engine: jax
        geometry.chunk_tokens: 64
    outs:
    - path: artifacts/demo/labels
      md5: 0123.dir
    - path: artifacts/demo/reference_lm
      md5: 4567.dir
"""
DIGEST = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of the manifest {}
NOT_UTF_8 = os.fsdecode(b"\xff.txt")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "dvc.lock").write_text(LOCK)
    for name in ("labels", "reference_lm"):
        (tmp_path / "artifacts" / "demo" / name).mkdir(parents=True)
    (tmp_path / "artifacts" / "demo" / "labels" / "manifest.json").write_text("{}")
    return tmp_path


def test_what_made_it_is_found_by_the_digest_of_the_manifest(root):
    assert maker_of(DIGEST, root) is None
    remember("scoring@demo", 12.34, "3/3 shards, 0.5/s", commit(root), root)
    maker = maker_of(DIGEST, root)
    assert (maker.stage, maker.seconds, maker.progress) == ("scoring@demo", 12.3, "3/3 shards, 0.5/s")
    assert maker.parameters == {
        "scoring.candidates": "12",
        "scoring.engine": '"jax"',
        "geometry.chunk_tokens": "64",
    }
    assert maker.commit == "no git checkout"
    assert {"python", "jax", "polars"} <= set(maker.versions)
    assert [path.name for path in (root / PLACE).iterdir()] == [f"{DIGEST}.json"]  # one of two has a manifest


def test_labels_that_changed_since_are_nobodys(root):
    remember("scoring@demo", 1.0, "", "abc", root)
    assert maker_of("0" * 64, root) is None
    (root / PLACE / f"{DIGEST}.json").write_text(json.dumps({"stage": "scoring@demo"}))
    assert maker_of(DIGEST, root) is None


def test_edits_of_the_checkout_are_said(root):
    def git(*words):
        known = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *known, *words], cwd=root, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (root / NOT_UTF_8).touch()
    git("add", ".")
    git("config", "core.quotePath", "false")
    git("commit", "-qm", "start")
    head = git("rev-parse", "--short=12", "HEAD").strip()
    began = commit(root)
    assert began == head
    (root / "dvc.lock").write_text(LOCK + "# edited\n")
    assert commit(root) == f"{head}, with edits of dvc.lock"
    (root / NOT_UTF_8).write_text("edited")
    assert commit(root) == f"{head}, with edits of dvc.lock, \ufffd.txt"
    remember("scoring@demo", 1.0, "", began, root)
    assert maker_of(DIGEST, root).commit == head  # that of the beginning


def test_the_machine_is_a_kind_and_not_a_name():
    import platform

    assert platform.node() not in machine()
    assert " cores of " in machine()


def test_a_run_that_notes_it_imports_neither_numpy_nor_arrow():
    code = "import sys, flows.execution; print(sorted({'numpy', 'pyarrow'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "[]\n"
