"""What holds of any sample of queries: the exhaustive one, and that of what systems retrieved."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest


def asked(rows: pl.DataFrame) -> set[tuple[str, int]]:
    """The queries that have a row."""
    return set(rows.select("doc_id", "query_chunk").unique().rows())


def check_nothing_is_scored_again(run: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """`run(queries)` a second time has the rows of the first from the ledger."""
    first = run(4)
    monkeypatch.setattr(
        "stages.scoring.pairs.ShardPrompts.score", lambda *_: pytest.fail("a pair was scored again")
    )
    assert run(4).equals(first)


def check_samples_contain_each_other(run: Callable[..., pl.DataFrame]) -> None:
    """A larger sample contains a smaller one, and the seed decides."""
    small, large, other = asked(run(5)), asked(run(9)), asked(run(5, seed=1))
    assert (len(small), len(large), len(other)) == (5, 9, 5)
    assert small < large
    assert small != other
