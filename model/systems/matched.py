"""Transformer-XLs matched to systems that have or do more: in layers, in parameters, in time."""

from __future__ import annotations

from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.matching import as_many_parameters, deeper
from model.training_cost import decoder_macs, flops, rpt_macs


def transformer_xl_plus_2(config: ModelConfig) -> LanguageModel:
    """Transformer-XL with 2 layers more."""
    return TransformerXL(deeper(config, 2))


def transformer_xl_same_parameters(config: ModelConfig) -> LanguageModel:
    """Transformer-XL as deep as makes its parameters nearest to RPT's: 15 layers and 240M at the paper's
    size. Not in the paper.
    """
    return TransformerXL(as_many_parameters(config))


def same_time(config: ModelConfig, tokens: int) -> float:
    """Updates of Transformer-XL with as many operations as one of RPT-Sem, which stand for its time.

    At the shape of benchmarks/training.py the ratio of operations is 1.24, that of measured times 1.22.
    """
    return flops(rpt_macs(config, tokens)) / flops(decoder_macs(config, tokens))
