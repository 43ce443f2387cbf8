"""A small part of `./rpt bench damage`, and that it finds what is read in silence."""

import json

import pytest

from benchmarks.damage import KINDS, Kind, damage


@pytest.mark.parametrize("name", KINDS)
def test_no_fault_in_what_the_project_wrote_is_read_in_silence(tmp_path, name):
    counts, silent = damage(KINDS[name], tmp_path, faults=60, seed=1)
    assert silent == []
    assert counts["refused"] + counts["fewer"] > 40


def test_a_reader_that_looks_at_nothing_is_found_out(tmp_path):
    trusting = Kind(
        lambda place, version: (place / "a.json").write_text(json.dumps({"b": version})) and None,
        lambda place: (place / "a.json").read_bytes() if (place / "a.json").exists() else b"",
    )
    counts, silent = damage(trusting, tmp_path, faults=20, seed=0)
    assert len(silent) == counts["silent"] > 10
