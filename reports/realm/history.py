"""What a training of REALM wrote down of each of its updates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Update:
    """One update.

    Attributes:
        loss, utility: nats a masked token. null: the mean probability of the null document.
        trivial: passages that were left out. built_from: the update that the index in use was built from.
        recall: what that index finds of what a fresh one finds, where it was measured.
        old_recall: the same of the index before, where another took over.
    """

    step: int
    loss: float
    utility: float
    null: float
    trivial: int
    built_from: int
    recall: float | None = None
    old_recall: float | None = None


_UPDATE = TypeAdapter(Update)


def read_history(path: Path) -> list[Update]:
    """The lines of a `losses.jsonl`.

    Raises:
        pydantic.ValidationError: if a line lacks something.
    """
    return [_UPDATE.validate_json(line) for line in path.read_bytes().splitlines()]
