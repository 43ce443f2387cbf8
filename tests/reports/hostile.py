"""The hostile texts of all tests, and a report that consists of one of them."""

from __future__ import annotations

from typing import Any

from tests.hostile import HOSTILE, LEAK, SCRIPT

__all__ = ["HOSTILE", "LEAK", "SCRIPT", "with_every_text"]


def _renamed(value: Any, text: str, *, keys: bool) -> Any:
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [_renamed(item, text, keys=False) for item in value]
    if isinstance(value, dict):
        return {
            f"{text}{place}" if keys else key: _renamed(item, text, keys=key in OPEN) for place, (key, item) in enumerate(value.items())
        }
    return value


OPEN = {"quarantined", "splits", "positive_rate", "scorer", "published"}
"""Dictionaries whose keys come from the run and not from this program."""


def with_every_text(report: dict[str, Any], text: str) -> dict[str, Any]:
    """The report with `text` in place of every text, and in every key that comes from the run."""
    return _renamed(report, text, keys=False)
