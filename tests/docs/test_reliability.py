"""Every test that docs/reliability.md names as the proof of a promise exists, and every promise has one or
says that it has none.
"""

import ast
import re
from functools import cache

from tests.docs.pages import ROOT

CASES = [*range(1, 18), *range(20, 26), *range(30, 36), *range(40, 44)]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_named_test_is_there() -> None:
    assert len(NAMED) > 20
    assert not [(path, name) for path, name in NAMED if name not in _functions(path)]


def test_every_promise_has_a_proof_or_says_that_it_has_none() -> None:
    rows = re.findall(r"^\| (P\d+) \| .+ \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [f"P{number}" for number in range(1, 12)]
    assert [name for name, proof in rows if "::" not in proof and not proof.startswith("not by a test")] == []


def test_every_case_has_its_place() -> None:
    rows = dict(re.findall(r"^\| T-(\d+) \| .+ \| (.+) \|$", PAGE, flags=re.MULTILINE))
    assert [int(number) for number in rows] == CASES
    for number, places in rows.items():
        assert re.match("(quick|all|bench|nowhere): ", places), number
        for bench in re.findall("bench: ((?:`\\w+`(?:, )?)+)", places):
            for name in re.findall(r"`(\w+)`", bench):
                assert (ROOT / "benchmarks" / f"{name}.py").exists(), (number, name)
        for tier, tests in re.findall("(quick|all): ([^;]+)", places):
            for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests):
                assert _is_slow(path, name) == (tier == "all"), (number, name)


@cache
def _functions(path: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _is_slow(path: str, name: str) -> bool:
    """Whether a test runs in `./rpt test --all` alone."""
    marks = [ast.unparse(decorator) for decorator in _functions(path)[name].decorator_list]
    marks += re.findall(r"^pytestmark = .+", (ROOT / path).read_text(), flags=re.MULTILINE)
    return any("mark.slow" in mark or "mark.vllm" in mark for mark in marks)
