"""A finished output comes into its place whole, from the same file system or from another."""

import errno
from pathlib import Path

import pytest

from stages.__main__ import publish


@pytest.fixture(params=["one file system", "two file systems"])
def places(request, tmp_path, monkeypatch) -> tuple[Path, Path]:
    """(a scratch directory, where outputs go)."""
    scratch, artifacts = tmp_path / "scratch", tmp_path / "artifacts"
    scratch.mkdir()
    if request.param == "two file systems":
        rename = Path.replace

        def within(path: Path, target: Path) -> Path:
            if scratch in path.parents and scratch not in target.parents:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", within)
    return scratch, artifacts


def test_a_directory_takes_the_place_of_the_one_before(places):
    scratch, artifacts = places
    for text in ("first", "second"):
        (scratch / "labels").mkdir()
        (scratch / "labels" / "part").write_text(text)
        publish(scratch / "labels", artifacts / "demo" / "labels")
        assert (artifacts / "demo" / "labels" / "part").read_text() == text
    assert [path.name for path in (artifacts / "demo").iterdir()] == ["labels"]
    assert not list(scratch.iterdir())


def test_a_file_is_published_too_and_what_a_killed_copy_left_is_no_obstacle(places):
    scratch, artifacts = places
    (artifacts / ".demo.json.arriving").mkdir(parents=True)
    (scratch / "figures").write_text("{}")
    publish(scratch / "figures", artifacts / "demo.json")
    assert (artifacts / "demo.json").read_text() == "{}"
    assert not list(scratch.iterdir())


def test_what_cannot_be_published_for_another_reason_stays(places, monkeypatch):
    scratch, artifacts = places

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    (scratch / "figures").write_text("{}")
    with pytest.raises(OSError, match="No space left"):
        publish(scratch / "figures", artifacts / "demo.json")
    assert (scratch / "figures").read_text() == "{}"
