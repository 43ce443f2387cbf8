"""Overrides are edits that stay: they are written into params.yaml, comments kept, so that dvc.lock tells the
truth.
"""

from __future__ import annotations

import difflib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from data_contracts.failure import Exit, Failure
from stages.parameters import check, is_mapping_of_values


@dataclass(frozen=True)
class SameAs:
    """A section that is another one, by its key: in the file an alias, so that an edit of the one holds for
    both.
    """

    key: str


def _editor() -> YAML:
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    # Written out, or every `null` in the file would change into nothing with the first edit.
    editor.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return editor


def parse_override(text: str) -> tuple[str, object]:
    """`scoring.candidates=12` -> ("scoring.candidates", 12); the value is read as YAML.

    Raises:
        Failure: (exit code 2) without an equals sign, or if the value is no YAML.
    """
    key, separator, value = text.partition("=")
    if not separator:
        raise Failure(f"override {text!r}", "it has no '='", "write it as scoring.candidates=12", Exit.USAGE)
    try:
        meant = YAML(typ="safe").load(value)
    except YAMLError as error:
        remedy = f"""quote what has a meaning in YAML, as in -o '{key.strip()}=["*.tex"]'"""
        raise Failure(
            f"override {text!r}",
            f"its value is no YAML: {' '.join(str(error).split())[:200]}",
            remedy,
            Exit.USAGE,
        ) from error
    plain = isinstance(meant, str) and value.lstrip().startswith(meant)
    return key.strip(), value.strip() if plain else meant  # in a name such as `part #1.txt` begins no comment


def apply_overrides(path: Path, overrides: dict[str, object]) -> str:
    """Write dotted overrides into a params.yaml and return the changed lines as a diff; nothing is written if
    the result is invalid.

    Raises:
        Failure: (exit code 2) for an unknown key or a value out of its limits.
    """
    before = path.read_text(encoding="utf-8")
    editor = _editor()
    document = editor.load(before)
    for dotted, value in overrides.items():
        set_value(document, dotted, value)
    check(YAML(typ="safe").load(_dump(editor, document)))
    unchanged = all(_get(_editor().load(before), dotted) == value for dotted, value in overrides.items())
    if unchanged:
        return ""
    after = _spaced(before, _dump(editor, document))
    temporary = path.with_suffix(".yaml.tmp")
    temporary.write_text(after, encoding="utf-8")
    os.replace(temporary, path)
    return "".join(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), path.name, path.name, n=0)
    )


def _spaced(before: str, after: str) -> str:
    """`after` with the blank line above what was added to the end of a section put below it, where it stood:
    between two sections.
    """
    old, new = before.splitlines(True), after.splitlines(True)
    for tag, _, _, begin, end in reversed(
        difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    ):
        if (
            tag == "insert"
            and begin
            and not new[begin - 1].strip()
            and new[begin].startswith(" ")
            and new[end - 1].strip()
        ):
            new[begin - 1 : end] = [*new[begin:end], new[begin - 1]]
    return "".join(new)


def _dump(editor: YAML, document: Any) -> str:
    buffer = io.StringIO()
    editor.dump(document, buffer)
    return buffer.getvalue()


def _parents(dotted: str) -> tuple[list[str], str]:
    """The sections on the way to a key, and the key, which may hold dots where a section has names of the
    user's own: `where`.
    """
    parts = dotted.split(".")
    sections = range(1, len(parts) - 1)
    last = next(
        (number for number in sections if is_mapping_of_values(tuple(parts[:number]))), len(parts) - 1
    )
    return parts[:last], ".".join(parts[last:])


def _parent(document: Any, dotted: str) -> tuple[Any, str]:
    parents, leaf = _parents(dotted)
    node = document
    for number, part in enumerate(parents):
        if isinstance(node, dict) and part not in node and is_mapping_of_values(tuple(parents[: number + 1])):
            node[part] = CommentedMap()
            node[part].fa.set_flow_style()
        if not isinstance(node, dict) or part not in node:
            known = sorted(node) if isinstance(node, dict) else []
            remedy = (
                f"check the spelling; `./rpt new {part} --source ...` adds a corpus"
                if parents[0] == "corpora"
                else "check the spelling"
            )
            raise Failure(
                f"override {dotted!r}", f"params.yaml has no {part!r}, only {known}", remedy, Exit.USAGE
            )
        node = node[part]
    if not isinstance(node, dict):
        raise Failure(
            f"override {dotted!r}",
            f"{'.'.join(parents)} is a value, not a section",
            "check the spelling",
            Exit.USAGE,
        )
    return node, leaf


def _get(document: Any, dotted: str) -> object:
    node, leaf = _parent(document, dotted)
    # else left out and null are one
    absent = "absent" if is_mapping_of_values(tuple(_parents(dotted)[0])) else None
    return node.get(leaf, absent)


def set_value(document: Any, dotted: str, value: object) -> None:
    """Set one dotted key of a loaded params.yaml.

    Raises:
        Failure: (exit code 2) if a section on the way is not there.
    """
    node, leaf = _parent(document, dotted)
    if isinstance(value, SameAs):
        node[leaf] = _shared(document, value.key)
    else:
        node[leaf] = _on_one_line(value) if isinstance(value, dict) else value


def _shared(document: Any, dotted: str) -> object:
    section = _get(document, dotted)
    if isinstance(section, CommentedMap) and section.anchor.value is None:
        section.yaml_set_anchor(dotted.rpartition(".")[2])
    return section


def _on_one_line(entry: dict) -> CommentedMap:
    """A mapping as `{key: value}`, the way `runs` are written."""
    mapping = CommentedMap(entry)
    mapping.fa.set_flow_style()
    return mapping
