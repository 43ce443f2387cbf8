"""Durations of stages are kept from run to run, and what grew makes an estimate grow."""

import pytest

from flows.durations import durations, estimate, remember


def test_the_last_duration_of_each_stage_is_kept(tmp_path):
    place = tmp_path / "durations.json"
    assert durations(place) == {}
    for stage, seconds in (("mining@a", 3.21), ("scoring@a", 60.0), ("mining@a", 4.0)):
        remember(stage, seconds, place)
    assert durations(place) == {"mining@a": 4.0, "scoring@a": 60.0}


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b"{"])
def test_a_file_that_cannot_be_read_is_as_none(tmp_path, content):
    (tmp_path / "durations.json").write_bytes(content)
    assert durations(tmp_path / "durations.json") == {}


@pytest.mark.parametrize(
    ("stage", "values", "seconds"),
    [
        ("scoring@a", {"scoring.candidates": (8, 12)}, 90.0),
        ("training@a-rpt", {"training.steps": (100, 300), "training.batch": (4, 2)}, 90.0),
        ("training@a-rpt", {"scoring.candidates": (8, 12)}, 60.0),
        ("scoring@a", {"scoring.candidates": ("not set", 12)}, 60.0),
        ("mining@a", {"mining.max_candidates": (8, 12)}, 60.0),
    ],
)
def test_an_estimate_grows_with_what_a_stage_is_proportional_to(stage, values, seconds):
    assert estimate(stage, 60.0, values) == pytest.approx(seconds)
    assert estimate(stage, None, values) is None
