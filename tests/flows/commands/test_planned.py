"""What `rpt plan` and `rpt status` say of stages that are fresh, stale, missing, timed and not."""

import json
import os
import time

import pytest

from flows.commands.planned import as_data as plan_data
from flows.commands.planned import as_text, planned, total
from flows.commands.stage_status import as_text as status_text
from flows.commands.stage_status import pages, stage_status
from flows.dvc_task import StageState
from flows.plan import make_plan
from tests.pipelines import private

CHANGED = {"scoring.candidates": (8, 12)}
STATES = [
    StageState("mining@a", (), (), {}, ("artifacts/a/candidates",), 1_000_000),
    StageState(
        "scoring@a",
        ("mining@a",),
        ("scoring.candidates 8 -> 12",),
        CHANGED,
        ("artifacts/a/labels",),
        2_000_000,
    ),
    StageState("report@a", ("scoring@a",), (), {}, ("artifacts/a/report", "metrics/a.json"), 3_000_000),
]
STEPS = make_plan(STATES, [])


def test_a_plan_has_reasons_estimates_and_their_sum(tmp_path):
    rows = planned(STEPS, STATES, {"mining@a": 30.0, "scoring@a": 80.0})
    assert [(row.stale, row.last_seconds, row.seconds) for row in rows] == [
        (False, 30.0, 0.0),
        (True, 80.0, 120.0),
        (True, None, None),
    ]
    found = total(rows, tmp_path)
    assert (found.stages, found.seconds, found.not_timed, found.bytes) == (2, 120.0, 1, 5_000_000)
    text = as_text(rows, tmp_path)
    assert "run        scoring@a                          2 min  scoring.candidates 8 -> 12\n" in text
    assert "run        report@a                               ?  after scoring@a\n" in text
    assert (
        "2 of 3 stages may run: about 2 min, by how long each took when it last ran here, without 1 that"
        " never did." in text
    )
    assert "They wrote 5.0 MB" in text
    json.dumps(plan_data(rows, tmp_path))


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (STATES[:1], "None of 1 stages needs to run."),
        (STATES[:2], "1 of 2 stages may run: never timed here."),
    ],
)
def test_a_plan_of_nothing_and_one_that_was_never_timed(tmp_path, states, said):
    assert said in as_text(planned(make_plan(states, []), states, {}), tmp_path)


@pytest.fixture
def root(tmp_path):
    """Candidates and labels are there, of the report one of two outputs."""
    for name in ("candidates", "labels", "report"):
        (tmp_path / "artifacts/a" / name).mkdir(parents=True)
    (tmp_path / "artifacts/a/labels/manifest.json").write_text(
        json.dumps({"shards": {"x": {"rows": 3}, "y": {"rows": 4}}})
    )
    (tmp_path / "artifacts/a/report/index.html").write_text("page")
    an_hour_ago = time.time() - 3700
    os.utime(tmp_path / "artifacts/a/labels", (an_hour_ago, an_hour_ago))
    return tmp_path


def test_a_stage_is_fresh_stale_or_missing(root):
    fresh, stale, missing = stage_status(STEPS, STATES, root)
    assert [row.state for row in (fresh, stale, missing)] == ["fresh", "stale", "missing"]
    assert (fresh.rows, stale.rows, missing.rows) == (None, 7, None)
    assert 3600 < stale.age_seconds < 7200
    assert missing.age_seconds is None
    text = status_text([fresh, stale, missing], pages(["a"], root))
    assert "stale       1 h old" in text
    assert "1 fresh, 1 stale, 1 missing" in text
    assert text.endswith("page  artifacts/a/report/index.html")


def test_nothing_at_all_says_how_to_begin(tmp_path):
    assert "./rpt demo" in status_text(stage_status(STEPS, STATES, tmp_path), pages(["a"], tmp_path))


def test_a_project_in_which_nothing_ran(project, tmp_path, rpt):
    own = private(project, tmp_path / "project")
    plan = json.loads(rpt(own, "plan", "--json").stdout)
    assert all(row["stale"] and row["seconds"] is None for row in plan["stages"])
    assert (plan["total"]["stages"], plan["total"]["not_timed"]) == (len(plan["stages"]), len(plan["stages"]))
    found = json.loads(rpt(own, "status", "--json").stdout)
    assert {row["stage"] for row in found["stages"]} == {row["stage"] for row in plan["stages"]}
    assert ({row["state"] for row in found["stages"]}, found["pages"]) == ({"missing"}, [])
    assert rpt(own, "status").stdout == "nothing yet; `./rpt demo` or `./rpt run` makes it\n"
