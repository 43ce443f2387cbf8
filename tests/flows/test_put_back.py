"""What a stage that failed had made before comes back whole, or not at all; with a real DVC."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from flows import dvc_child
from flows.dvc_task import Dvc

PIPELINE = """stages:
  pair:
    cmd: cp source one && echo 2 > two
    deps: [source]
    outs: [one, two]
  label_gates:
    foreach: [demo]
    do:
      cmd: cp source gates
      deps: [source]
      outs: [gates]
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A pipeline that has run, of which every output is gone since."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dvc_child, "ROOT", tmp_path)
    Path("source").write_text("1")
    Path("dvc.yaml").write_text(PIPELINE)
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        repo.reproduce()
    for name in ("one", "two", "gates"):
        Path(name).unlink()
    return tmp_path


def there(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in ("one", "two", "gates") if (root / name).exists()}


def test_all_outputs_come_back(root):
    dvc_child._put_back("pair")
    assert there(root) == {"one": "1", "two": "2\n"}


def test_outputs_of_before_never_stand_beside_one_that_is_new(root):
    (root / "one").write_text("new")
    dvc_child._put_back("pair")
    assert there(root) == {"one": "new"}


def test_none_comes_back_if_one_is_damaged_in_the_cache(root):
    (cached,) = (
        path for path in (root / ".dvc/cache/files").rglob("*") if path.is_file() and path.read_text() == "1"
    )
    cached.chmod(0o644)
    cached.write_text("x")
    dvc_child._put_back("pair")
    assert there(root) == {}


def test_the_verdict_on_other_labels_does_not_come_back(root):
    dvc_child._put_back("label_gates@demo")
    assert there(root) == {}


def test_what_cannot_be_put_back_is_said_and_ends_nothing(monkeypatch):
    def full(stage: str) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(dvc_child, "_put_back", full)
    said = "what pair had made before is not put back: OSError('no space left')"
    assert dvc_child._put_back_or_why_not("pair") == said


def test_dvc_goes_on_after_what_it_cannot_put_back():
    lines = []
    with Dvc() as dvc:
        dvc.reproduce("no_such_stage", {}, lambda message: None, lines.append)
        child = dvc._child
        dvc.put_back("no_such_stage", lines.append)
        again = dvc.reproduce("no_such_stage", {}, lambda message: None, lines.append)
        assert dvc._child is child
    assert any("what no_such_stage had made before is not put back" in line for line in lines)
    assert "no_such_stage" in again.failure.cause
