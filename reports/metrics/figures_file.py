"""Figures as JSON files: written from the dataclasses that hold them, and read back into the same ones or
refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from data_contracts.failure import Exit, Failure

Figures = TypeVar("Figures")


def as_json(figures: Any) -> str:
    """The JSON of a dataclass, with a name for every field.

    Raises:
        ValueError: at a number that is not finite, which JSON does not know; what was not measured is None.
    """
    return json.dumps(asdict(figures), indent=1, allow_nan=False) + "\n"


def schema(kind: type[Any]) -> str:
    """The JSON Schema of the files that hold a dataclass."""
    return json.dumps(TypeAdapter(kind).json_schema(), indent=1) + "\n"


def read_figures(kind: type[Figures], path: Path, remedy: str) -> Figures:
    """The figures of a file that `as_json` wrote.

    Raises:
        Failure: (exit code 3) if the file is of another form than this version of the program writes;
            `remedy` says what makes it anew.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        first = next((one for one in error.errors() if one["loc"] == ("version",)), error.errors()[0])
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise Failure(
            f"{path.name} is of another version of rpt",
            f"{path}, {place}: {first['msg']}",
            remedy,
            Exit.CONTRACT,
        ) from None
