"""What becomes of half a file that a killed DVC left."""

import pytest

from flows.dvc_records import COPY, DAMAGED, LOCK, USERS, keep, put_aside

HALF = b"stages:\n  documents:\n    cm"


@pytest.fixture
def root(tmp_path):
    (tmp_path / ".run").mkdir()
    (tmp_path / USERS).parent.mkdir(parents=True)
    (tmp_path / LOCK).write_bytes(HALF)
    return tmp_path


def test_without_a_copy_it_begins_without_a_record(root):
    assert str(DAMAGED) in put_aside(root, LOCK)
    assert not (root / LOCK).exists()
    (root / LOCK).write_bytes(b"")
    assert put_aside(root, LOCK)
    assert [(root / f"{DAMAGED}.{number}").read_bytes() for number in (1, 2)] == [HALF, b""]


def test_a_whole_file_that_dvc_refuses_is_left_to_a_person(root):
    (root / LOCK).write_bytes(b"schema: '3.0'\nstages: {}\nunknown: 1\n")
    assert put_aside(root, LOCK) is None
    assert (root / LOCK).exists()


def test_the_copy_of_the_last_stage_takes_its_place(root):
    (root / LOCK).write_bytes(b"stages: {}\n")
    keep(root)
    (root / LOCK).write_bytes(HALF)
    assert str(DAMAGED) in put_aside(root, LOCK)
    assert (root / LOCK).read_bytes() == b"stages: {}\n"


def test_a_merge_is_left_to_a_person(root):
    merged = b"stages:\n<<<<<<< ours\n  a: 1\n=======\n  a: 2\n>>>>>>> theirs\n"
    (root / LOCK).write_bytes(merged)
    (root / COPY).write_bytes(b"stages: {}\n")
    assert put_aside(root, LOCK) is None
    assert (root / LOCK).read_bytes() == merged


def test_nobody_is_left_in_a_list_that_cannot_be_read(root):
    (root / USERS).write_text('{"read": {')
    assert "removed" in put_aside(root, USERS)
    assert not (root / USERS).exists()
