"""Deeper Transformer-XLs to compare a system with: by a number of layers, or with as many parameters (see docs/decisions.md, fairness)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from model.baselines.transformer_xl import TransformerXL
from model.config import Shape
from model.language_model import LanguageModel
from model.parameters import Architecture
from model.rpt import RPT, semantic_relevance


def deeper(shape: Shape, layers: int) -> Shape:
    """The shape with so many layers more, without cross-attention."""
    return replace(shape, layers=shape.layers + layers, cca_layers=())


@cache
def as_many_parameters(shape: Shape) -> Shape:
    """The depth at which Transformer-XL's parameters are nearest to those of RPT of this shape."""
    base = _count(TransformerXL, shape)
    layer = _count(TransformerXL, deeper(shape, 1)) - base
    return deeper(shape, round((_count(lambda shape: RPT(shape, semantic_relevance), shape) - base) / layer))


def _count(build: Callable[[Shape], LanguageModel], shape: Shape) -> int:
    return sum(map(math.prod, Architecture.of(build, shape).sizes))
