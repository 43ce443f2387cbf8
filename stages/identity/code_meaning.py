"""What a Python file means: its syntax tree as text, without all that changes nothing at run time, and the
names it imports.

Left out of a syntax tree: comments and layout (it has none), docstrings, the annotations of functions
(arguments, results, local names), and what stands below `if TYPE_CHECKING`. Kept: annotations in the body of
a class or of a module, because pydantic, dataclasses and NamedTuple build their fields from them. So no
module that a stage runs may look at docstrings or at the types of a function's arguments while it runs, which
a test checks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple


class Meaning(NamedTuple):
    """`text` is equal for two files that do the same, whichever Python reads them; `names` may each be a
    module or a part of one.
    """

    text: str
    names: list[str]


def meaning(source: str) -> Meaning:
    """What `source` means.

    Raises:
        SyntaxError: if `source` is not Python.
    """
    tree = _Bare().visit(ast.parse(source))
    return Meaning(_text(tree), sorted(set(_imported(tree))))


class _Bare(ast.NodeTransformer):
    """Takes out of a syntax tree what changes nothing at run time."""

    def __init__(self) -> None:
        self.in_function = False

    def _inside(self, node: ast.AST, in_function: bool) -> ast.AST:
        """`node` with its parts visited as those of a function or of a class."""
        outer, self.in_function = self.in_function, in_function
        self.generic_visit(node)
        self.in_function = outer
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, in_function=False)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node, in_function=True)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node, in_function=True)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if self.in_function:
            node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(other) for other in node.orelse]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """A string that is a statement of its own does nothing: a docstring, or the words below a
        constant.
        """
        return (
            None
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            else self.generic_visit(node)
        )


def _text(node: object) -> str:
    """A syntax tree as text. Fields without a value are left out: which of them there are differs between
    versions of Python.
    """
    if isinstance(node, ast.JoinedStr):
        node.values = list(_joined(node.values))
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_text(value)}"
            for name, value in ast.iter_fields(node)
            if value is not None and value != []
        ]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return ascii(node)


def _joined(parts: list[ast.expr]) -> Iterator[ast.expr]:
    """The parts of an f-string with neighbouring literals made one, which versions of Python divide
    differently.
    """
    for literal, group in groupby(parts, lambda part: isinstance(part, ast.Constant)):
        if literal:
            text = "".join(str(part.value) for part in group if isinstance(part, ast.Constant))
            yield from [ast.Constant(text)] if text else []
        else:
            yield from group


def _imported(tree: ast.AST) -> Iterator[str]:
    """Every name that may be imported as a module, inside functions too. The house imports by full names
    only.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
