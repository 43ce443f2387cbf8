"""Reading params.yaml: the checked configuration, or every wrong key and value by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError

from data_contracts.failure import Exit, Failure
from stages.parameters.configuration import Configuration
from stages.parameters.section import Params
from stages.parameters.text import Geometry


def load(path: Path) -> Configuration:
    """The checked configuration of a params.yaml.

    Raises:
        Failure: (exit code 2) naming every wrong key or value, with the nearest known key for a misspelt one.
    """
    return check(_raw(path))


def load_geometry(path: Path) -> Geometry:
    """The geometry of a params.yaml whose other sections need not be valid yet.

    Raises:
        Failure: (exit code 2) if the file cannot be read.
    """
    return Geometry.model_validate(_raw(path)["geometry"])


def _raw(path: Path) -> Any:
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise Failure(
            f"{path.name} cannot be read", str(error).replace("\n", " "), "put the file right", Exit.USAGE
        ) from error


def check(raw: object) -> Configuration:
    """The configuration in plain data; raises like `load`."""
    try:
        return Configuration.model_validate(raw)
    except ValidationError as error:
        reasons = "; ".join(_explain(item) for item in error.errors())
        raise Failure(
            "params.yaml is not valid",
            reasons,
            "see stages/parameters/ for every key and its limits",
            Exit.USAGE,
        ) from error


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{key or 'params.yaml'}: {item['msg']} (found {str(item['input'])[:60]!r})"
    known = sorted(_section_at(item["loc"][:-1]).model_fields)
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
    return f"{key}: unknown parameter" + (f", did you mean {near[0]!r}?" if near else f", known are {known}")


def is_mapping_of_values(location: tuple[str, ...]) -> bool:
    """Whether a place of params.yaml maps names of the user's own to values, as `corpora.<name>.where` does;
    False for one unknown.
    """
    try:
        annotation = _section_at(location[:-1]).model_fields[location[-1]].annotation
    except (IndexError, KeyError, AttributeError):  # params.yaml itself has no name
        return False
    if get_origin(annotation) is not dict:
        return False
    kind = get_args(annotation)[1]
    return not (isinstance(kind, type) and issubclass(kind, Params))


def _section_at(location: tuple[int | str, ...]) -> type[Params]:
    """The model that describes one place of params.yaml; a name chosen by the user stands for any entry of
    its mapping.
    """
    model: Any = Configuration
    entry = False
    for part in location:
        if entry:
            entry = False
            continue
        annotation = model.model_fields[str(part)].annotation
        entry = get_origin(annotation) is dict
        model = get_args(annotation)[1] if entry else annotation
    return model
