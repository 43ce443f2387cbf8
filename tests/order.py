"""In which order the files of tests begin, as several processes take them in turn: one that begins last would
end alone.

A pytest plugin. `FIRST` says which parts begin, and within a part the files that took longest the last time
do; how long each took is kept in `.run/test-seconds.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

KEPT = Path(__file__).resolve().parents[1] / ".run" / "test-seconds.json"

# Most of the first need no finished pipeline, which takes one process two minutes to make while the others
# would wait.
FIRST = (
    "tests/flows/test_services.py",
    "tests/model/test_planted_corpus.py",
    "tests/stages/realm/test_realm.py",
    "tests/stages/runner/test_ray_map.py",
    "tests/flows/compare/",
    "tests/flows/test_pipeline_tiny.py",
    "tests/model/test_",
    "tests/flows/",
    "tests/model/",
    "tests/stages/",
    "",
)


def place(test: str, seconds: dict[str, float]) -> tuple[int, float]:
    """What a test is sorted by; `seconds` are those of the files that have run here."""
    part = next(number for number, begin in enumerate(FIRST) if test.startswith(begin))
    return part, -seconds.get(test.split("::")[0], 0.0)


class Order:
    """Sorts the tests, and keeps how long each file took where the whole session is seen."""

    def __init__(self, known: dict[str, float], keeps: bool) -> None:
        self.known, self.keeps = known, keeps
        self.spent: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: place(item.nodeid, self.known))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        """Every process is told the same, or they would not agree on an order."""
        node.workerinput["seconds"] = self.known

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.spent[report.nodeid.split("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        if self.keeps and self.spent:
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps({**self.known, **self.spent}, indent=1))


def _known() -> dict[str, float]:
    """Seconds by file; a file that cannot be read is as none."""
    try:
        return {file: float(seconds) for file, seconds in json.loads(KEPT.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    known = (
        {} if config.pluginmanager.hasplugin("randomly") else _known()
    )  # what is shuffled stays so in a part
    config.pluginmanager.register(Order(worker["seconds"] if worker else known, keeps=worker is None))
