"""`rpt docs`: docs/files.md from what every file says of itself, docs/commands.md from the command line,
docs/report.schema.json from the code, docs/results.md from the figures that are kept."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from cyclopts import App

from flows.commands.results import PAGE, results_page
from flows.workspace import ROOT
from reports.metrics.figures_file import schema
from reports.run.report import RunReport

FOLDERS = ("flows", "stages", "model", "data_contracts", "reports", "infra", "benchmarks")
CONFIGURATION = ("rpt", "params.yaml", "dvc.yaml", "prefect.yaml", ".ci/run")
SYSTEMS = ("", ".yaml", ".sbatch")
"""Suffixes of the files in infra/ that other systems read and that have comments."""
GENERATED = "<!-- Written by `./rpt docs`. Edit {} and run it again. -->"


def write_pages(app: App) -> list[str]:
    """Write the generated pages; the names of those that changed."""
    changed = []
    for name, text in pages(app).items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


def pages(app: App) -> dict[str, str]:
    """File name -> text of every generated page."""
    return {
        "docs/files.md": files_page(ROOT),
        "docs/commands.md": commands_page(app),
        "docs/report.schema.json": schema(RunReport),
        PAGE: results_page(ROOT),
    }


def files_page(root: Path) -> str:
    """Every folder and file of the project with the first paragraph of its docstring, or its first
    comment.
    """
    profiles = sorted((root / "profiles").glob("*.yaml"))
    parts = [
        "# Files",
        GENERATED.format("the docstring of a module, or the first comment of another file,"),
        "What every file is for, in its own words. Start with [the architecture](architecture.md).",
        "## Configuration",
        _list(root, root, [root / name for name in CONFIGURATION]),
        "## profiles",
        "Whole configurations, for `./rpt run --profile NAME`.",
        _list(root, root / "profiles", profiles),
        *(_section(root, folder) for top in FOLDERS for folder in _packages(root / top)),
        "## Clusters and containers",
        _list(
            root, root / "infra", sorted(path for path in root.glob("infra/*/*") if path.suffix in SYSTEMS)
        ),
        "## tests",
        "The tests mirror the folders above. See [testing](testing.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _packages(top: Path) -> list[Path]:
    """A package and the packages inside it."""
    return [path.parent for path in sorted(top.rglob("__init__.py"))]


def _section(root: Path, folder: Path) -> str:
    name, files = (
        folder.relative_to(root),
        sorted(path for path in folder.glob("*.py") if path.name != "__init__.py"),
    )
    caption = first_words(folder / "__init__.py")
    return "\n\n".join(part for part in (f"## {name}", caption, _list(root, folder, files)) if part)


def _list(root: Path, folder: Path, files: Iterable[Path]) -> str:
    """A line a file, with a link from docs/ to it."""
    return "\n".join(
        f"- [`{file.relative_to(folder)}`](../{file.relative_to(root)}): {first_words(file)}"
        for file in files
    )


def first_words(path: Path) -> str:
    """The first paragraph of a module's docstring, or the first comment of any other file, on one line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    else:
        comment = re.match(r"(?:#!.*\n)?((?:# .*\n)*)", text)
        said = comment[1].replace("# ", "") if comment else ""
    return " ".join(said.split()).removeprefix(f"{path.name}: ")


def commands_page(app: App) -> str:
    """Every command with its arguments and options."""
    body = app.generate_docs(usage_name="./rpt")
    # generate_docs takes one word of a usage line for its command and writes the whole command in its place:
    # what is left of it is the rest of a usage line of our own, or of the way this process was started,
    # `python -m flows.cli`.
    body = re.sub(r"^\./rpt (.+?) (?:\1|-m \S+)(?= |$)", r"./rpt \1", body, flags=re.MULTILINE)
    # a heading's dashes stand in its anchor too
    body = re.sub(r"\[`--([\w-]+)`\]\(#rpt-\1\)", r"[`--\1`](#rpt---\1)", body)
    parts = [
        "# Commands",
        GENERATED.format("the command in flows/"),
        (
            "`./rpt COMMAND --help` prints the same. Exit codes are in [When a run"
            " fails](guides/when-a-run-fails.md)."
        ),
        body[body.index("**Commands**") :].strip(),
    ]
    return "\n\n".join(parts) + "\n"
