"""A job that is interrupted again and again and goes on, against one that is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stages.runner.messages import Messages
from stages.runner.stage import Context


class StopsAfter(Messages):
    """Ctrl-C at the next word of progress once so many were said; those with a detail, such as "resumed", do
    not count.
    """

    def __init__(self, words: int) -> None:
        super().__init__(io.StringIO())
        self.left = words

    def progress(self, done: float, total: float, unit: str, detail: str = "") -> None:
        self.left -= not detail
        if self.left < 0:
            raise KeyboardInterrupt


def written(
    job: Callable[[Context], None], context: Context, place: Path, output: str, stops: tuple[int, ...] = ()
) -> dict[str, bytes]:
    """The files that `job` writes into the scratch directory `place`, interrupted after so many words of each
    try; each leaves a part of a shard, as a kill does.
    """
    place.mkdir()
    for words in stops:
        with pytest.raises(KeyboardInterrupt):
            job(replace(context, scratch=place, say=StopsAfter(words)))
        (place / output / ".part-00002.parquet.1.tmp").write_bytes(b"half a shard")
    job(replace(context, scratch=place))
    return {path.name: path.read_bytes() for path in sorted((place / output).iterdir())}
