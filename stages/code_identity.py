"""What the code of a stage means: one digest over the syntax trees of all that the stage imports.

Two versions of the code with equal digests do the same at run time, so that an artifact or a half-finished stage of one
serves the other. Left out of a syntax tree: comments and layout (it has none), docstrings, and the annotations of
functions (arguments, results, local names). Kept: annotations in the body of a class or of a module, because pydantic,
dataclasses and NamedTuple build their fields from them. No module that a stage runs may read `__doc__` or check the types
of a function's arguments while it runs; the digest would not see such a change.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

# These decide where and how a stage runs, not what it writes. What they import counts all the same.
RUNNERS = frozenset(
    {
        "stages/__init__.py",
        "stages/devices.py",
        "stages/event_file.py",
        "stages/interruption.py",
        "stages/inventory.py",
        "stages/messages.py",
        "stages/parameters.py",
        "stages/ray_map.py",
        "stages/ray_workers.py",
        "stages/stage.py",
        "stages/training_log.py",
    }
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class _Meaning(ast.NodeTransformer):
    """Takes out of a syntax tree what changes nothing at run time."""

    def __init__(self) -> None:
        self.in_function = False

    def _inside(self, node: Documented, in_function: bool) -> ast.AST:
        """`node` without its docstring, and its parts visited as those of a function or of a class."""
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        outer, self.in_function = self.in_function, in_function
        self.generic_visit(node)
        self.in_function = outer
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._inside(node, in_function=False)

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


def meaning(source: str) -> str:
    """The syntax tree of `source` as text, without docstrings, comments and the annotations of functions.

    Raises:
        SyntaxError: if `source` is not Python.
    """
    return ast.dump(_Meaning().visit(ast.parse(source)))


def _module_files(root: Path, name: str) -> set[Path]:
    """The files of this repository that Python runs to import `name`: those of its packages and its own; none for a library."""
    parts = name.split(".")
    packages = {root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)}
    return {path for path in {*packages, root.joinpath(*parts).with_suffix(".py")} if path.is_file()}


def _imports(path: Path) -> set[str]:
    """Every name that `path` may import as a module, inside functions too. The house imports by full names only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def closure(root: Path, *modules: str) -> list[Path]:
    """The files below `root` that importing `modules` can run, in order; a module named only in a string is not followed."""
    seen: set[Path] = set()
    pending = {path for module in modules for path in _module_files(root, module)}
    while pending:
        path = pending.pop()
        seen.add(path)
        pending |= {file for name in _imports(path) for file in _module_files(root, name)} - seen
    return sorted(seen)


def code_digest(root: Path, *modules: str) -> str:
    """64 hex digits over what the closure of `modules` means, `RUNNERS` left out.

    Raises:
        ValueError: for a module that is not below `root`.
    """
    places = {module: root.joinpath(*module.split(".")) for module in modules}
    if unknown := [name for name, path in places.items() if not (path.with_suffix(".py").is_file() or path.is_dir())]:
        raise ValueError(f"no such module: {', '.join(unknown)}")
    digest = hashlib.sha256()
    for path in closure(root, *modules):
        name = path.relative_to(root).as_posix()
        if name not in RUNNERS:
            digest.update(f"{name}\0{meaning(path.read_text(encoding='utf-8'))}\0".encode())
    return digest.hexdigest()
