"""Reports that consist of one text, with as much of everything as it takes to show it in every place."""

from __future__ import annotations

from typing import Any

OPEN = {"quarantined", "splits", "positive_rate", "scorer", "published"}
"""Dictionaries whose keys come from the run and not from this program."""
MOST = 3
ACTING = frozenset(
    {"script", "img", "iframe", "object", "embed", "base", "link", "form"}
    | {"image", "use", "foreignobject", "marquee", "plaintext"}
)
"""Elements that load or do something."""


def shortened(value: Any) -> Any:
    """A report with the first and the last of what a list of more than MOST holds: pages show all of a list
    in the same way.
    """
    if isinstance(value, list):
        return [shortened(item) for item in (value if len(value) <= MOST else (value[0], value[-1]))]
    return {key: shortened(item) for key, item in value.items()} if isinstance(value, dict) else value


def check_nothing_acts(page: Any, leads_to: tuple[str, ...] = ("#",)) -> None:
    """No element of a parsed page acts, nor does an attribute; links lead to such places alone."""
    for name, attributes in page.elements:
        assert name not in ACTING
        assert not {"src", "srcset", "style", "action", "xlink:href", "data"} & set(attributes)
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        assert (attributes.get("href") or "#").startswith(leads_to)


def _renamed(value: Any, text: str, *, keys: bool) -> Any:
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [_renamed(item, text, keys=False) for item in value]
    if isinstance(value, dict):
        return {
            f"{text}{place}" if keys else key: _renamed(item, text, keys=key in OPEN)
            for place, (key, item) in enumerate(value.items())
        }
    return value


def with_every_text(report: dict[str, Any], text: str) -> dict[str, Any]:
    """The report with `text` in place of every text, and in every key that comes from the run."""
    return _renamed(report, text, keys=False)
