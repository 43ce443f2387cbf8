"""Figures cross the borders of modules as dataclasses: no public function or field of reports/ takes or gives
a dictionary of anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOSE = {"dict[str, Any]", "Mapping[str, Any]", "dict", "dict[str, dict]"}


def aliases(module: ast.Module) -> dict[str, ast.expr]:
    """Names that a module gives to types."""
    assigned = [
        node for node in module.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    return {node.targets[0].id: node.value for node in assigned}


def is_loose(annotation: ast.expr | None, known: dict[str, ast.expr]) -> bool:
    """Whether any part of a type is one of `LOOSE`."""
    for node in ast.walk(annotation) if annotation else ():
        if isinstance(node, ast.Name) and node.id in known and is_loose(known[node.id], {}):
            return True
        if (
            isinstance(node, ast.Name | ast.Subscript)
            and ast.unparse(node) in LOOSE
            and not _is_head(node, annotation)
        ):
            return True
    return False


def _is_head(node: ast.expr, annotation: ast.expr) -> bool:
    """Whether a name is the `dict` of a `dict[str, int]`."""
    return any(isinstance(other, ast.Subscript) and other.value is node for other in ast.walk(annotation))


def found_in(source: str) -> Iterator[str]:
    """The public functions, and the classes with public fields, that are loose."""
    module = ast.parse(source)
    known = aliases(module)
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and any(
            isinstance(part, ast.AnnAssign) and is_loose(part.annotation, known) for part in node.body
        ):
            yield node.name
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            if any(
                is_loose(one, known)
                for one in (node.returns, *(argument.annotation for argument in arguments))
            ):
                yield node.name


def test_no_module_gives_another_a_dictionary_of_anything():
    found = {}
    for path in sorted((ROOT / "reports").rglob("*.py")):
        if names := set(found_in(path.read_text(encoding="utf-8"))):
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(a: dict[str, Any]) -> int: ...", ["f"]),
        ("def f(a: int) -> list[dict[str, Any]]: ...", ["f"]),
        ("def f(*, a: Sequence[dict] | None): ...", ["f"]),
        ("Row = dict[str, Any]\ndef f(a: list[Row]): ...", ["f"]),
        ("class C:\n    a: dict\n", ["C"]),
        ("def _f(a: dict[str, Any]): ...", []),
        ("def f(a: dict[str, int], b: Mapping[str, object]) -> dict[str, dict[str, int]]: ...", []),
    ],
)
def test_loose_signatures_are_seen(source, names):
    assert list(found_in(source)) == names
