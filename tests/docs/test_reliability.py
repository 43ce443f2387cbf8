"""Every test that docs/reliability.md names as the proof of a promise exists, and every promise has one or
says that it has none.
"""

import ast
import re

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_named_test_is_there() -> None:
    assert len(NAMED) > 20
    missing = [
        (path, name)
        for path, name in NAMED
        if name
        not in {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text()))
            if isinstance(node, ast.FunctionDef)
        }
    ]
    assert not missing


def test_every_promise_has_a_proof_or_says_that_it_has_none() -> None:
    rows = re.findall(r"^\| (P\d+) \| .+ \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [f"P{number}" for number in range(1, 12)]
    assert [name for name, proof in rows if "::" not in proof and not proof.startswith("not by a test")] == []
