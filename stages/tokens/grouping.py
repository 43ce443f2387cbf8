"""Bounded groups of a stream: what keeps the memory of a stage independent of the length of a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def grouped(items: Iterable[Item], size: Callable[[Item], int], limit: int) -> Iterator[list[Item]]:
    """Consecutive items in lists whose sizes add up to at most `limit`; a larger item has a list of its own.

    An empty stream gives one empty list, so that a stage writes a table even then.
    """
    group, total = list[Item](), 0
    for item in items:
        if group and total + size(item) > limit:
            yield group
            group, total = [], 0
        group.append(item)
        total += size(item)
    yield group
