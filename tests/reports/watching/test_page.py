"""The page of a run shows what its log says, lets no text of it act, and is guarded as others are."""

from __future__ import annotations

import polars as pl
from starlette.testclient import TestClient

from reports.watching.events import known
from reports.watching.page import Watched, clock
from reports.watching.run_state import RunState, after
from reports.watching.server import watching
from tests.hostile import STORABLE, check_each
from tests.reports.served_pages import PORT, check_headers, check_page

PLAN = {
    "event": "plan",
    "stages": [
        {"stage": "scoring@demo", "reasons": ["scoring.candidates 8 -> 12"]},
        {"stage": "training@demo-rpt_sem", "reasons": ["after scoring@demo"]},
        {"stage": "packing@demo", "reasons": []},
    ],
}
STEPS = [{"step": step, "lm_loss": 5.0 - step, "recall_at_2": 0.1 * step} for step in range(3)]
PROGRESS = {"done": 3, "total": 12, "unit": "shards", "rate": 0.5, "seconds_left": 18.0, "detail": "loss 3.1"}


def stage(event: str, name: str = "scoring@demo", **facts) -> dict:
    return {"event": event, "stage": name, **facts}


def begun(*more: dict) -> RunState:
    return after(RunState(), known([{"event": "log", "pid": 17}, PLAN, stage("begin", at=100.0), *more]))


def shown(parse, state: RunState, goes: str | None = "rpt run (process 17), since 10:00:00", **known):
    """The page as a browser gets it."""
    empty = {"usual": {}, "steps": {}, "labels": {}, "now": 110.0}
    watched = Watched(state, goes, **{**empty, **known})
    answer = TestClient(watching(lambda: watched, PORT), base_url=f"http://127.0.0.1:{PORT}").get("/")
    assert answer.status_code == 200
    check_headers(answer)
    page = parse(answer.text)
    check_page(page)
    return page


def test_a_stage_that_runs_has_a_bar_and_the_rest_of_the_run_an_estimate(parse):
    page = shown(parse, begun(stage("progress", **PROGRESS)), usual={"training@demo-rpt_sem": 60.0})
    assert page.all_text("h1") == ["0 of 3 stages"]
    assert "since 10:00:00; about 1:18 left." in page.all_text("p")[0]  # 18 s by the stage, 60 as last time
    assert "25.0 %, 3 of 12 shards, 0.5 a second, loss 3.1, 0:18 left" in page.all_text("section", "now")[0]
    rows = page.all_text("tr")
    assert "training@demo-rpt_semafter scoring@demowaiting1:00" in rows
    assert "packing@demounchanged" in rows


def test_what_was_never_timed_is_not_counted_as_nothing(parse):
    assert "since 10:00:00; not counted: 2 never timed here." in shown(parse, begun()).all_text("p")[0]
    later = shown(parse, begun(), usual={"scoring@demo": 30.0})
    assert "about 0:20 left; not counted: 1 " in later.all_text("p")[0]  # it began 10 seconds ago


def test_curves_and_labels_so_far_have_their_numbers(parse):
    labels = pl.DataFrame(
        {
            "doc_id": ["a"] * 4,
            "split": ["train"] * 4,
            "query_chunk": [9, 9, 8, 8],
            "rank": [0, 1, 0, 1],
            "target_score": [6.4, -1.0, -3.2, 3.2],
        }
    )
    page = shown(parse, begun(), steps={"demo-rpt_sem": STEPS}, labels={"demo": (labels, 64)})
    assert page.all_text("title")[1::2] == ["Loss of the language model", "Recall of the retriever's first 2"]
    assert {"demo-rpt_sem23.000", "demo-rpt_sem20.200"} <= set(page.all_text("tr"))
    assert "demotrain2450.0 %+0.025+0.075" in page.all_text("tr")


def test_how_a_run_ended_is_its_heading(parse):
    done = stage("end", result="ran", seconds=61.0)
    assert shown(parse, begun(done, {"event": "finish", "results": {}})).all_text("h1") == ["Finished"]
    failure = {"event": "failure", "what": "scoring@demo: no memory", "cause": "too large", "remedy": "less"}
    page = shown(parse, begun(failure), goes=None)
    assert page.all_text("h1") == ["Failed: scoring@demo: no memory"]
    assert {"cause too large", "remedy less"} <= set(page.all_text("p"))
    assert shown(parse, begun(), goes=None).all_text("h1") == ["Stopped before its end"]
    assert shown(parse, RunState(), goes=None).all_text("h1") == ["No run yet"]
    another = after(begun(failure), known([{"event": "log", "pid": 18}]))
    assert (another.pid, another.failure, another.stages) == (18, None, {})


def test_text_of_a_log_does_nothing_but_be_read(parse):
    def check(text):
        events = [
            stage("note", markdown=text),
            stage("line", text=text),
            stage("progress", **{**PROGRESS, "detail": text}),
            {"event": "failure", "what": text, "cause": text, "remedy": text},
        ]
        page = shown(parse, begun(*events), goes=text)
        assert f"cause {text}" in page.all_text("p")

    check_each(STORABLE, check)


def test_seconds_are_read_as_a_clock():
    assert [clock(seconds) for seconds in (None, 0, 65, 3661.4)] == ["\N{EN DASH}", "0:00", "1:05", "1:01:01"]
