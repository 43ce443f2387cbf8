"""docs/paper.md names only what exists, and its constants are those of the code and of the configurations."""

import ast
import re
from functools import cache, reduce
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.cli import app
from tests.hostile import check_each

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
REFERENCES = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
NOTHING_TO_COMPARE = "-"


@cache
def definitions(file: str) -> dict[str, ast.stmt]:
    """Functions, classes, assigned names and Class.member of a Python file."""
    found: dict[str, ast.stmt] = {}

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[prefix + node.name] = node
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{node.name}.")
            for target in [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", []):
                if isinstance(target, ast.Name):
                    found[prefix + target.id] = node

    collect(ast.parse((ROOT / file).read_text(encoding="utf-8")).body, "")
    return found


@cache
def configuration(file: str) -> dict:
    return YAML(typ="safe").load((ROOT / file).read_text(encoding="utf-8"))


def at(file: str, key: str) -> object:
    return reduce(lambda section, name: section[name], key.split("."), configuration(file))


def resolve(reference: str) -> None:
    """Raises KeyError or FileNotFoundError if the reference leads nowhere."""
    file, _, name = reference.partition(":")
    if reference.startswith("./rpt "):
        assert reference.split()[1] in list(app)
    elif name:
        assert name in definitions(file)
    elif not (ROOT / file).is_file():
        at("params.yaml", reference)


def test_references_lead_somewhere():
    assert len(REFERENCES) > 100
    check_each(REFERENCES, resolve)


@pytest.mark.parametrize(
    "reference",
    ["model/rpt.py:Rpt", "model/rpt.py:RPT.forward", "model/none.py:x", "training.size", "./rpt fly", "a.md"],
)
def test_a_wrong_reference_is_found(reference):
    with pytest.raises((AssertionError, KeyError, FileNotFoundError)):
        resolve(reference)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_nothing_of_the_paper_is_left_out():
    sections = " ".join(row[0] for row in rows("Sections") if row[0])
    assert sections == "1, 2, 6, 7 3, problem setup 3.1 3.2 3.3 3.4 4 5.1 5.2 5.3 5.4 A B C"
    shown = [row[0].split(",")[0] for row in rows("Tables and figures")]
    assert shown == [*(f"Table {n}" for n in range(1, 5)), *(f"Figure {n}" for n in range(1, 8))]
    assert [row[0] for row in rows("Where the paper and the official code differ")] == [
        f"D{n}" for n in range(1, 19)
    ]
    assert len({len(row) for row in rows("Equations")}) == 1


def test_constants_are_what_the_document_says():
    check_each(rows("Constants"), check_constant)


def check_constant(row):
    _, _, place, paper, demo = row
    reference = place.strip("`")
    said = [YAML(typ="safe").load(cell) for cell in (paper, demo) if cell != NOTHING_TO_COMPARE]
    if ":" not in reference:
        assert said == [at("profiles/paper-pg19.yaml", reference), at("profiles/demo.yaml", reference)]
    elif said:
        file, _, name = reference.partition(":")
        node = definitions(file)[name]
        assert isinstance(node, ast.Assign | ast.AnnAssign)
        assert said == [ast.literal_eval(node.value)] * 2
