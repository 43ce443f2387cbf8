"""The systems that can be trained, by name, each imported when it is asked for; and the sizes of the paper."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from model.config import ModelConfig
from model.system import System
from model.systems import MODULE_OF

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
"""Sizes of the paper (section 3.4, appendix A). Cross-attention is in 5 of the 12 layers (appendix B), Griffin's recurrence in as many;
which five it does not say."""


class Systems(Mapping[str, System]):
    """Name -> system, in the order of the tables. To list the names or to look for one imports nothing."""

    def __getitem__(self, name: str) -> System:
        module = importlib.import_module(f"model.systems.{MODULE_OF[name]}")
        return {system.name: system for system in module.SYSTEMS}[name]

    def __contains__(self, name: object) -> bool:
        return name in MODULE_OF

    def __iter__(self) -> Iterator[str]:
        return iter(MODULE_OF)

    def __len__(self) -> int:
        return len(MODULE_OF)


SYSTEMS = Systems()
