"""The parameters of one language model for another, whose lower decoder may have another number of layers."""

from __future__ import annotations

from model.config import ModelConfig
from model.parameters import Parameters


def taken_over(trained: Parameters, of: ModelConfig, config: ModelConfig) -> Parameters:
    """The parameters of a model of the configuration `of`, under the paths that they have in one of
    `config`.
    """
    return {_renumbered(path, of.lower_layers, config.lower_layers): x for path, x in trained.items()}


def _renumbered(path: str, lower: int, wanted: int) -> str:
    half, _, rest = path.partition(".layers.")
    if not rest:
        return path
    number, _, rest = rest.partition(".")
    layer = int(number) + (lower if half == "upper" else 0)
    return f"lower.layers.{layer}.{rest}" if layer < wanted else f"upper.layers.{layer - wanted}.{rest}"
