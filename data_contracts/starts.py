"""What runs that begin with a trained one depend on: its model and what they read beside the training
sequences, each by its digest.

Such a run names the artifact as its `input`, `starts/RUN`, and so depends on all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, field


def _check_starts(table: pa.Table) -> Iterator[str]:
    if not pc.all(pc.match_substring_regex(table.column("digest"), r"^[0-9a-f]{16}$")).as_py():
        yield "a digest that has not 16 hex digits"


STARTS = Contract(
    "starts",
    1,
    pa.schema(
        [
            field("place", pa.string(), "an artifact of the corpus"),
            field("digest", pa.string(), "16 hex digits of its names and contents"),
        ]
    ),
    ("place",),
    _check_starts,
)
