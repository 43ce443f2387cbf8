"""A plan names the chosen stages and their ancestors, in order, with reasons; never a descendant."""

import pytest

from data_contracts.failure import Exit, Failure
from flows.dvc_task import StageState
from flows.plan import make_plan

STATES = [
    StageState("mining@a", (), ()),
    StageState("scoring@a", ("mining@a",), ("params.yaml: scoring.candidates modified",)),
    StageState("packing@a", ("mining@a",), ()),
    StageState("training@a-rpt", ("scoring@a", "packing@a"), ()),
    StageState("training@a-txl", ("packing@a",), ()),
    StageState("report@a", ("training@a-rpt", "training@a-txl"), ()),
]


def stale(names):
    return [step.stage for step in make_plan(STATES, names) if step.stale]


def test_no_name_means_all_and_staleness_flows_downstream():
    assert [step.stage for step in make_plan(STATES, [])] == [state.name for state in STATES]
    assert stale([]) == ["scoring@a", "training@a-rpt", "report@a"]


def test_supervision_that_no_run_learns_from_is_left_out_unless_it_is_named():
    states = [
        *STATES[:2],
        StageState("query_supervision@a", (), ()),
        StageState("lexical_supervision@a", (), ()),
    ]
    states.append(StageState("training@a-retro", ("lexical_supervision@a",), ()))
    assert "query_supervision@a" not in [step.stage for step in make_plan(states, [])]
    assert "lexical_supervision@a" in [step.stage for step in make_plan(states, [])]
    assert [step.stage for step in make_plan(states, ["query_supervision"])] == ["query_supervision@a"]


def test_a_named_stage_never_brings_its_descendants():
    assert [step.stage for step in make_plan(STATES, ["scoring"])] == ["mining@a", "scoring@a"]
    assert stale(["scoring"]) == ["scoring@a"]
    assert stale(["training@a-txl"]) == []


def test_reasons_say_what_changed_or_what_came_before():
    steps = {step.stage: step.reasons for step in make_plan(STATES, [])}
    assert steps["scoring@a"] == ("params.yaml: scoring.candidates modified",)
    assert steps["training@a-rpt"] == ("after scoring@a",)


def test_a_misspelt_stage_is_a_usage_error_with_the_nearest_name():
    with pytest.raises(Failure, match="scoring") as failure:
        make_plan(STATES, ["scorring"])
    assert failure.value.code == Exit.USAGE


def test_a_stage_without_its_run_is_answered_with_its_runs():
    with pytest.raises(Failure, match="did you mean 'training@a-rpt' or 'training@a-txl'") as failure:
        make_plan(STATES, ["training@a"])
    assert failure.value.code == Exit.USAGE
