"""Transformer-XLs with a memory or with recurrent states, in their matched form: all as here but for one layer."""

from __future__ import annotations

from functools import partial

from model.baselines.block_recurrent import block_recurrent_block
from model.baselines.memorizing import bucketed, memorizing_block
from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.system import System


def memorizing_32k(config: ModelConfig) -> LanguageModel:
    """Memorizing Transformer, a memory of 32 window strides, 32,768 tokens at the paper's size.

    Table 2: perplexity 2.92, 2.18, 10.97, 14.40; time 1.82; "212M" parameters, but its layer has only a gate a head more than
    Transformer-XL: 202M. 211.9M is the count of Block-Recurrent.
    """
    return TransformerXL(config, partial(memorizing_block, config, strides=32))


def memorizing_65k(config: ModelConfig) -> LanguageModel:
    """The same with 64 window strides, 65,536 tokens. Table 2: perplexity 2.93, 2.15, 10.99, 14.3; "212M" parameters; time 2.12."""
    return TransformerXL(config, partial(memorizing_block, config, strides=64))


def memorizing_32k_bucketed(config: ModelConfig) -> LanguageModel:
    """Memorizing Transformer with the approximate search of the code it was published with, and nothing else of it."""
    return TransformerXL(config, partial(memorizing_block, config, strides=32, search=bucketed))


def block_recurrent(config: ModelConfig) -> LanguageModel:
    """Block-Recurrent Transformer. Table 2: perplexity 2.89, 2.73, 10.95, 14.64; 212M parameters; time 1.56."""
    return TransformerXL(config, partial(block_recurrent_block, config))


SYSTEMS = (
    System("memorizing_32k", memorizing_32k, carry="document"),
    System("memorizing_65k", memorizing_65k, carry="document"),
    System("memorizing_32k_bucketed", memorizing_32k_bucketed, carry="document"),
    System("block_recurrent", block_recurrent, carry="document"),
)
