"""The systems that can be trained, by name, each imported when it is asked for; and the sizes of
the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pkgutil import resolve_name
from typing import Any

from data_contracts.systems import RECORDS
from model.config import ModelConfig
from model.system import System

PAPER_CONFIG = ModelConfig(
    vocabulary_size=50_277,
    width=1024,
    layers=12,
    heads=8,
    chunk_tokens=64,
    stride_chunks=16,
    cca_layers=(8, 9, 10, 11, 12),
    recurrent_layers=(8, 9, 10, 11, 12),
    neighbours=2,
    gate_window=64,
    dropout=0.05,
    dtype="bfloat16",
    remat=True,
)
"""Sizes of the paper (section 3.4, appendix A). Cross-attention is in 5 of the 12 layers (appendix B),
Griffin's recurrence in as many; which five it does not say."""
CODE = ("build", "relevance", "retriever_training", "first_values", "optimizer")
"""Fields of a record that name code."""
DATA = ("supervision", "retriever", "carry", "weighs_pairs", "learning_rate")


class Systems(Mapping[str, System]):
    """Name -> system, in the order of the tables. To list the names or to look for one imports nothing."""

    def __getitem__(self, name: str) -> System:
        return _built(name)

    def __contains__(self, name: object) -> bool:
        return name in RECORDS

    def __iter__(self) -> Iterator[str]:
        return iter(RECORDS)

    def __len__(self) -> int:
        return len(RECORDS)


@cache
def _built(name: str) -> System:
    record = RECORDS[name]
    code: dict[str, Any] = {
        field: resolve_name(getattr(record, field)) for field in CODE if getattr(record, field)
    }
    updates = record.updates
    code["updates"] = resolve_name(updates) if isinstance(updates, str) else lambda config, tokens: updates
    return System(
        name,
        **code,
        **{field: getattr(record, field) for field in DATA},
    )


SYSTEMS = Systems()
