"""Counts in 64 bits and sums that repeat, as expressions of Polars.

Polars counts rows, list items and truth values in 32 bits, and the sum of such counts wraps at 2^32 without a
word: 4.34 G tokens would be reported as 45 M. So every count is made here, and so is every sum of a column
that an artifact keeps in 32 bits. And it adds up a group of many rows in parts, in the order in which its
threads end, so that sums of floats differ in their last digits from call to call.
"""

from __future__ import annotations

import polars as pl


def rows() -> pl.Expr:
    """The number of rows, Int64."""
    return pl.len().cast(pl.Int64)


def length(column: str) -> pl.Expr:
    """The number of items of each list in `column`, Int64."""
    return pl.col(column).list.len().cast(pl.Int64)


def how_many(condition: pl.Expr) -> pl.Expr:
    """The number of rows for which `condition` is true, Int64."""
    return condition.sum().cast(pl.Int64)


def different(column: str) -> pl.Expr:
    """The number of different values in `column`, Int64."""
    return pl.col(column).n_unique().cast(pl.Int64)


def total(column: str) -> pl.Expr:
    """The sum of a column of whole numbers, Int64, whatever its width."""
    return pl.col(column).cast(pl.Int64).sum()


def in_order(value: pl.Expr) -> pl.Expr:
    """The sum of floats over a group, added up from its first row to its last, nulls left out; the same bits
    each time.
    """
    # what drops rows first is not cut into parts by today's Polars; a test repeats it
    return value.drop_nulls().sum()
