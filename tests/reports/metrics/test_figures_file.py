"""Files of figures: what is read back is what was written, and another form is refused in a sentence."""

import json
from dataclasses import replace

import pytest

from data_contracts.failure import Exit, Failure
from reports.metrics.figures_file import as_json, read_figures
from reports.run.page import render
from reports.run.report import RunReport
from tests.reports.sample import report_of


@pytest.fixture
def report(shared_sample):
    return report_of(shared_sample)


def test_a_report_read_back_gives_the_same_page(report, tmp_path):
    (tmp_path / "report.json").write_text(as_json(report))
    assert render(read_figures(RunReport, tmp_path / "report.json", "./rpt report")) == render(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found.pop("version"), "report.json, version: Field required"),
        (lambda found: found.update(version=1, corpus=1), "report.json, version: Input should be 2"),
        (
            lambda found: found["systems"][0].pop("perplexity"),
            "report.json, systems.0.perplexity: Field required",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(report, tmp_path, change, said):
    found = json.loads(as_json(report))
    change(found)
    (tmp_path / "report.json").write_text(json.dumps(found))
    with pytest.raises(Failure, match=r"report\.json is of another version of rpt") as failure:
        read_figures(RunReport, tmp_path / "report.json", "./rpt report")
    assert failure.value.cause.endswith(said)
    assert (failure.value.remedy, failure.value.code) == ("./rpt report", Exit.CONTRACT)


def test_what_is_no_number_is_not_written(report):
    with pytest.raises(ValueError, match="JSON"):
        as_json(replace(report, systems=[replace(report.systems[0], perplexity=float("nan"))]))
