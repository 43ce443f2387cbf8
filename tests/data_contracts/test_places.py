"""A place is a path or a URL of a bucket; what may hide a secret or is no store is refused."""

from pathlib import Path

import pytest

from data_contracts.places import check_place, resolved
from stages.parameters import Runtime


def test_places():
    for good in ("ledger", "/a/b c", "../x", "gs://bucket", "gs://bu-cket.x/a/b.c_d-e", "s3://b/date=2026/"):
        assert check_place(good) == good
        assert Runtime(ledger=good).ledger == good
    for bad in (
        "memory://x",
        "file:///x",
        "http://host/x",
        "gs://",
        "gs:///x",
        "gs://key:secret@bucket/x",
        "gs://bucket/x?token=secret",
        "gs://bucket/x#7",
        "gs://bucket//x",
        "gs://bucket/*",
        "gs://bucket/../x",
        "simplecache::gs://bucket/x",
    ):
        with pytest.raises(ValueError, match="credentials never stand in it"):
            check_place(bad)


def test_paths_count_from_their_base_and_urls_from_nothing(tmp_path):
    assert resolved("gs://bucket/x", tmp_path) == "gs://bucket/x"
    assert resolved("ledger", tmp_path) == tmp_path / "ledger"
    assert resolved("/ledger", tmp_path) == Path("/ledger")
