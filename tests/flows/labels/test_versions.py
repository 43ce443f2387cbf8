"""`REV:CORPUS` and the other names of labels, in a real git repository with a real DVC cache and remote."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set, make_label_set
from data_contracts.failure import Exit, Failure
from flows import dvc_task
from flows.labels import versions as label_versions
from flows.labels.commands import labels
from tests.pipelines import private

STAGES = """
stages:
  made:
    cmd: "true"
    outs: [artifacts/demo/documents, artifacts/demo/chunks, artifacts/demo/labels]
"""
CONFIG = """
[core]
    analytics = false
[cache]
    type = copy
"""
REMOTE = """
[core]
    analytics = false
    remote = shared
[cache]
    type = copy
['remote "shared"']
    url = {}
"""


def call(root, *command: str) -> str:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".run" / "dvc")}
    done = subprocess.run(command, cwd=root, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def keep(root, message: str) -> str:
    """Commit what DVC and git see; the commit."""
    call(root, sys.executable, "-m", "dvc", "commit", "--force", "--quiet")
    call(root, "git", "add", "-A")
    call(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)
    return call(root, "git", "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def workspace(project, tmp_path_factory):
    """A copy of the project whose first commit has four candidates a query, and the second, HEAD, two."""
    root = private(project, tmp_path_factory.mktemp("versions") / "project")
    (root / "dvc.yaml").write_text(STAGES)
    (root / ".dvc" / "config").write_text(CONFIG)
    make_label_set(root / "artifacts" / "demo", documents=3, chunks=20, candidates=4)
    first = keep(root, "four candidates")
    call(root, "git", "tag", "four")
    altered = alter_label_set(
        root / "artifacts" / "demo" / "labels", root / "altered", lambda rows: rows.filter(pl.col("rank") < 2)
    )
    shutil.rmtree(root / "artifacts" / "demo" / "labels")
    altered.rename(root / "artifacts" / "demo" / "labels")
    shutil.rmtree(root / "altered")
    second = keep(root, "two candidates")
    return root, first, second


@pytest.fixture
def checkout(monkeypatch):
    """`with checkout(root):` this process works in the checkout `root`."""

    @contextmanager
    def checkout(root):
        with monkeypatch.context() as patch:
            patch.chdir(root)
            patch.setenv("DVC_SITE_CACHE_DIR", str(root / ".run" / "dvc"))
            patch.setattr(dvc_task, "ROOT", root)
            patch.setattr(label_versions, "ROOT", root)
            patch.setattr(label_versions, "FETCHED", root / ".run" / "label_versions")
            patch.setattr(label_versions, "INDEX", root / ".run" / "label_index")
            yield

    return checkout


@pytest.fixture
def candidates(checkout):
    """The most candidates of a query in a version, as the checkout `root` has it."""

    def candidates(root, version: str | None = None) -> int:
        with checkout(root):
            opened = label_versions.open_version(version)
        return max(opened.labels(doc_id)["rank"].max() for doc_id in opened.documents["doc_id"]) + 1

    return candidates


def test_every_name_of_a_version_gives_its_labels(workspace, candidates, monkeypatch):
    root, first, second = workspace
    names = [
        None,
        "demo",
        "artifacts/demo",
        "artifacts/demo/labels",
        str(root / "artifacts" / "demo"),
        "HEAD:demo",
        f"{second[:10]}:demo",
    ]
    assert {name: candidates(root, name) for name in names} == dict.fromkeys(names, 2)
    earlier = ["HEAD~1:demo", "four:demo", f"{first}:demo"]
    assert {name: candidates(root, name) for name in earlier} == dict.fromkeys(earlier, 4)
    fetched = root / ".run" / "label_versions"
    assert {path.name for path in fetched.iterdir()} == {first, second}
    assert {path.name for path in (fetched / first).iterdir()} == {"demo"}
    assert {path.name for path in (fetched / first / "demo").iterdir()} == {"labels", "chunks", "documents"}
    assert call(root, "git", "status", "--porcelain") == ""
    assert candidates(root) == 2
    monkeypatch.setenv("RPT_CALLED_FROM", str(root / "artifacts"))
    assert candidates(root, "demo/labels") == 2, "a directory counts from where the command was given"


def test_a_revision_is_not_published(workspace, checkout, tmp_path):
    with checkout(workspace[0]), pytest.raises(Failure, match="only a corpus of this workspace") as refused:
        labels(["publish", "four:demo", str(tmp_path / "made")], result_action="return_value")
    assert refused.value.code == Exit.USAGE
    assert not (tmp_path / "made").exists()


def test_versions_are_compared(workspace, checkout, capsys):
    with checkout(workspace[0]):
        assert labels(["diff", "four:demo", "demo", "--json"], result_action="return_value") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["a"]["candidates"], result["b"]["candidates"]) == (4, 2)
    figures = result["splits"]["all"]
    assert (figures["score_change"]["mean_absolute"], figures["rank_correlation"]["spearman"]) == (0, 1)
    assert figures["pairs"]["only_a"] > figures["pairs"]["only_b"] == 0
    assert figures["best_change"]["lower"] > figures["best_change"]["higher"] == 0


def test_without_its_data_a_version_is_refused_and_comes_back_from_a_remote(workspace, candidates, tmp_path):
    root, first = tmp_path / "project", workspace[1]
    shutil.copytree(workspace[0], root)
    shutil.rmtree(root / ".run", ignore_errors=True)
    (root / ".dvc" / "config").write_text(REMOTE.format(tmp_path / "remote"))
    shutil.copytree(root / ".dvc" / "cache" / "files", tmp_path / "away" / "files")
    assert candidates(root, "HEAD:demo") == 2, "the cache alone is enough"
    shutil.rmtree(root / ".dvc" / "cache")
    with pytest.raises(Failure, match=first[:12]) as refused:
        candidates(root, "four:demo")
    assert refused.value.code == Exit.ENVIRONMENT
    assert "dvc push" in refused.value.remedy
    assert not list((root / ".run" / "label_versions" / first).iterdir())
    (tmp_path / "away").rename(tmp_path / "remote")
    assert candidates(root, "four:demo") == 4
    shutil.rmtree(tmp_path / "remote")
    shutil.rmtree(root / ".dvc" / "cache", ignore_errors=True)
    assert candidates(root, "four:demo") == 4, "what was fetched is not fetched again"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("nothing", "none of the corpora with labels here: demo"),
        ("nothing:demo", "revision 'nothing'"),
        ("HEAD:nothing", "it tracks no artifacts/nothing/labels"),
        ("HEAD:../demo", "no name of a corpus"),
        ("HEAD:..", "no name of a corpus"),
        ("HEAD:", "no name of a corpus"),
        (":demo", "revision ''"),
        ("-h:demo", "revision '-h'"),
        ("--output=x:demo", "revision '--output=x'"),
    ],
)
def test_what_is_no_version_is_explained(workspace, candidates, version, said):
    root, _, _ = workspace
    with pytest.raises(Failure, match=re.escape(said)) as refused:
        candidates(root, version)
    assert refused.value.code == Exit.USAGE
    assert not (root / "x").exists()


def test_of_several_corpora_one_has_to_be_named_and_of_none_none_can(
    workspace, checkout, candidates, tmp_path
):
    root = tmp_path / "project"
    shutil.copytree(workspace[0], root)
    make_label_set(root / "artifacts" / "books", documents=2, chunks=20, candidates=3)
    with checkout(root), pytest.raises(Failure, match="books, demo") as refused:
        labels(["stats"], result_action="return_value")
    assert refused.value.code == Exit.USAGE
    assert candidates(root, "books") == 3
    shutil.rmtree(root / "artifacts")
    with pytest.raises(Failure, match="no corpus under artifacts/"):
        candidates(root)
