"""`rpt verify` names a damaged artifact, and running again brings its bytes back: from DVC's cache, or made
anew if that is damaged too.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.pipelines import private

ARTIFACTS = Path("artifacts/demo")


@pytest.fixture
def chunked(finished, tmp_path) -> Path:
    """A copy of the finished pipeline that has nothing but documents to chunks, linked to the cache
    or not.
    """
    root = private(finished, tmp_path / "project")
    for place in (root / ARTIFACTS).iterdir():
        if place.name not in ("documents", "quarantine", "tokenizer", "tokens", "chunks"):
            shutil.rmtree(place)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted((root / ARTIFACTS).rglob("*"))
        if path.is_file()
    }


def flip(path: Path) -> None:
    """One bit in place, so that every hard link to the file has it too."""
    with open(path, "r+b") as file:
        file.seek(300)
        byte = file.read(1)[0]
        file.seek(300)
        file.write(bytes([byte ^ 1]))


def rot(path: Path) -> None:
    """One bit in place, and the time as it was: what a failing disk does."""
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def problems(root: Path, rpt) -> list[str]:
    found = rpt(root, "verify", "--json")
    listed = json.loads(found.stdout)["problems"]
    assert found.returncode == (3 if listed else 0), found.stdout + found.stderr
    return listed


def run_chunking(root: Path, rpt, *arguments: str) -> None:
    done = rpt(root, "run", "chunking", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_damage_is_named_and_mended_whether_outputs_are_copies_or_links_of_the_cache(chunked, rpt):
    """DVC copies what a stage wrote into its cache, and hard-links what it restored from there: the second
    round damages both ends.
    """
    good = contents(chunked)
    assert problems(chunked, rpt) == []
    rounds = [
        {
            "documents/part-00000.parquet": rot,
            "tokenizer/tokenizer.json": rot,
            "tokens/part-00001.parquet": Path.unlink,
            "chunks/part-00000.parquet": shorten,
        },
        {
            "documents/manifest.json": Path.unlink,
            "tokenizer/tokenizer.json": rot,
            "tokens/part-00001.parquet": rot,
            "chunks/part-00000.parquet": flip,
        },
    ]
    for damages in rounds:
        for name, damage in damages.items():
            damage(chunked / ARTIFACTS / name)
        found = problems(chunked, rpt)
        assert len(found) == len(damages)
        assert all(any(str(ARTIFACTS / name) in problem for problem in found) for name in damages), found
        run_chunking(chunked, rpt)
        assert problems(chunked, rpt) == []
        assert contents(chunked) == good


def test_a_run_does_not_restore_the_damage_from_a_linked_cache(chunked, rpt):
    good = contents(chunked)
    shard = chunked / ARTIFACTS / "tokens" / "part-00000.parquet"
    shard.unlink()
    run_chunking(chunked, rpt)
    flip(shard)
    run_chunking(chunked, rpt)
    assert contents(chunked) == good


def test_half_a_record_of_dvc_is_put_aside_and_nothing_is_done_again(chunked, rpt):
    """What a kill leaves while DVC writes dvc.lock or its list of readers and writers: without help DVC
    refuses for ever.
    """
    run_chunking(chunked, rpt)
    good, lock = contents(chunked), chunked / "dvc.lock"
    whole = lock.read_bytes()
    # in the middle of a word, and before the first
    for half in (whole.index(b"    deps:", len(whole) // 2) + 6, 0):
        lock.write_bytes(whole[:half])
        (chunked / ".dvc" / "tmp" / "rwlock").write_text('{"read": {')
        done = rpt(chunked, "run", "chunking")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "dvc.lock was half written" in done.stderr
        assert "rwlock was half written" in done.stderr
        assert lock.read_bytes() == whole
        assert contents(chunked) == good


@pytest.mark.slow
def test_a_stage_that_stops_on_a_damaged_input_is_mended_by_running_again(chunked, rpt):
    run_chunking(chunked, rpt)  # after which DVC takes a file of the same size and time for the same
    good, params = contents(chunked), (chunked / "params.yaml").read_text()
    rot(chunked / ARTIFACTS / "tokens" / "part-00000.parquet")
    stopped = rpt(chunked, "run", "chunking", "-o", "geometry.chunk_tokens=32")
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    assert "tokens/part-00000.parquet" in stopped.stderr
    run_chunking(chunked, rpt)
    assert problems(chunked, rpt) == []
    (chunked / "params.yaml").write_text(params)
    run_chunking(chunked, rpt)
    assert contents(chunked) == good
