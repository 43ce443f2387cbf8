"""Deeper Transformer-XLs to compare a system with: by a number of layers, or with as many parameters (see
docs/decisions.md, fairness).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.parameters import Architecture
from model.rpt import RPT, semantic_relevance


def deeper(config: ModelConfig, layers: int) -> ModelConfig:
    """The configuration with so many layers more, without cross-attention."""
    return replace(config, layers=config.layers + layers, cca_layers=())


@cache
def as_many_parameters(config: ModelConfig) -> ModelConfig:
    """The depth at which Transformer-XL's parameters are nearest to those of RPT of this configuration."""
    base = _count(TransformerXL, config)
    layer = _count(TransformerXL, deeper(config, 1)) - base
    return deeper(
        config, round((_count(lambda config: RPT(config, semantic_relevance), config) - base) / layer)
    )


def _count(build: Callable[[ModelConfig], LanguageModel], config: ModelConfig) -> int:
    return sum(map(math.prod, Architecture.of(build, config).sizes))
