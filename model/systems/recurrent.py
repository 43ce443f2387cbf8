"""Transformer-XLs with a memory or with recurrent states, in their matched form: all as here but for one
layer.
"""

from __future__ import annotations

from functools import partial

from model.baselines.block_recurrent import block_recurrent_block
from model.baselines.memorizing import bucketed, memorizing_block
from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.language_model import LanguageModel


def memorizing_32k(config: ModelConfig) -> LanguageModel:
    """Memorizing Transformer, a memory of 32 window strides, 32,768 tokens at the paper's size: 202M
    parameters there.
    """
    return TransformerXL(config, partial(memorizing_block, config, strides=32))


def memorizing_65k(config: ModelConfig) -> LanguageModel:
    """The same with 64 window strides, 65,536 tokens."""
    return TransformerXL(config, partial(memorizing_block, config, strides=64))


def memorizing_32k_bucketed(config: ModelConfig) -> LanguageModel:
    """Memorizing Transformer with the approximate search of the code it was published with, and nothing else
    of it.
    """
    return TransformerXL(config, partial(memorizing_block, config, strides=32, search=bucketed))


def block_recurrent(config: ModelConfig) -> LanguageModel:
    """Block-Recurrent Transformer."""
    return TransformerXL(config, partial(block_recurrent_block, config))
